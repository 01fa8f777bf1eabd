import unittest

from komand_sentry.util.dsn import DSN, MalformedDSN, parse_dsn

KEY = "0123456789abcdef0123456789abcdef"
SECRET = "fedcba9876543210fedcba9876543210"


class DSNTest(unittest.TestCase):
    def test_every_form_of_a_dsn_is_read(self) -> None:
        forms = {
            f"https://{KEY}@sentry.example.com/42": ("https://sentry.example.com", ""),
            f"https://{KEY}:{SECRET}@sentry.example.com/42": ("https://sentry.example.com", SECRET),
            f"https://{KEY}:@sentry.example.com/42": ("https://sentry.example.com", ""),
            f"http://{KEY}@sentry.example.com:9000/42": ("http://sentry.example.com:9000", ""),
            f"https://{KEY}@sentry.example.com/tools/Sentry-2/42": ("https://sentry.example.com/tools/Sentry-2", ""),
            f"https://{KEY}@sentry.example.com/api/42": ("https://sentry.example.com/api", ""),
            f"https://{KEY}@o7.ingest.de.sentry.io/42": ("https://o7.ingest.de.sentry.io", ""),
            f"https://{KEY}@my_relay/42": ("https://my_relay", ""),
            f"http://{KEY}@10.0.0.7:3000/42": ("http://10.0.0.7:3000", ""),
            f"http://{KEY}@[2001:DB8::7]/42": ("http://[2001:db8::7]", ""),
            f"http://{KEY}:{SECRET}@[::1]:9000/p/42": ("http://[::1]:9000/p", SECRET),
            f"HTTPS://{KEY}@Sentry.Example.COM/42": ("https://sentry.example.com", ""),
            f"https://{KEY}@sentry.example.com/42/": ("https://sentry.example.com", ""),
            f"  https://{KEY}@sentry.example.com/42\n": ("https://sentry.example.com", ""),
        }
        for text, (base, secret) in forms.items():
            with self.subTest(text):
                self.assertEqual(parse_dsn(text), DSN(base, "42", KEY, secret))

    def test_a_query_and_a_fragment_are_ignored(self) -> None:
        plain = parse_dsn(f"https://{KEY}@sentry.example.com/42")
        for tail in ("?", "?environment=a/7", "#", "?a=@b/9#c"):
            with self.subTest(tail):
                self.assertEqual(parse_dsn(f"https://{KEY}@sentry.example.com/42{tail}"), plain)

    def test_store_and_envelope_urls_keep_port_and_prefix_and_hold_no_key(self) -> None:
        dsn = parse_dsn(f"http://{KEY}:{SECRET}@[::1]:9000/tools/42?a=b")
        self.assertEqual(dsn.store_url, "http://[::1]:9000/tools/api/42/store/")
        self.assertEqual(dsn.envelope_url, "http://[::1]:9000/tools/api/42/envelope/")

    def test_the_auth_header_names_the_secret_only_where_there_is_one(self) -> None:
        start = f"Sentry sentry_version=7, sentry_client=a-client/1.0, sentry_timestamp=1700000000, sentry_key={KEY}"
        for secret, end in (("", ""), (SECRET, f", sentry_secret={SECRET}")):
            with self.subTest(secret=bool(secret)):
                header = DSN("https://h", "42", KEY, secret).auth_header(7, "a-client/1.0", 1700000000)
                self.assertEqual(header, start + end)

    def test_the_secret_is_in_neither_repr_nor_str(self) -> None:
        dsn = parse_dsn(f"https://{KEY}:{SECRET}@sentry.example.com/42")
        self.assertNotIn(SECRET, repr(dsn) + str(dsn))


class MalformedDSNTest(unittest.TestCase):
    def refuse(self, text: str) -> str:
        with self.assertRaises(MalformedDSN) as caught:
            parse_dsn(text)
        return str(caught.exception)

    def test_the_message_says_which_part_is_malformed(self) -> None:
        kinds = {
            "no public key": (f"https://:{SECRET}@h.example/42", "https://h.example/42", "https://@h.example/42"),
            "keys": (f"https://{KEY}:a:b@h.example/42", "https://a,b@h.example/42", f"https://{KEY}%0d@h.example/42"),
            "number of a project": (
                f"https://{KEY}@h.example",
                f"https://{KEY}@h.example/",
                f"https://{KEY}@h.example/pump-station",
                f"https://{KEY}@h.example/42x",
                f"https://{KEY}@h.example/-42",
                f"https://{KEY}@h.example/../42",
                f"https://{KEY}@h.example?/42",
                f"https://{KEY}@h.example#/42",
                f"https://{KEY}@h.example/\u0664\u0662",
            ),
            "https://": (f"ftp://{KEY}@h.example/42", f"{KEY}@h.example/42", f"//{KEY}@h.example/42", "", "42"),
            "no host": (f"https://{KEY}@/42", f"https://{KEY}@:9000/42"),
            "port": (f"https://{KEY}@h.example:x/42", f"https://{KEY}@h.example:65536/42"),
            "control character": (f"https://{KEY}@h.exa mple/42", f"https://{KEY}@h.example\r\n.evil.example/42"),
        }
        for part, texts in kinds.items():
            for text in texts:
                with self.subTest(part=part, text=text):
                    self.assertIn(part, self.refuse(text))

    def test_port_zero_is_no_port(self) -> None:
        self.assertIn("port", self.refuse(f"https://{KEY}@h.example:0/42"))

    def test_what_url_parsers_disagree_on_is_refused(self) -> None:
        tricks = (
            f"https://{KEY}@h.example@evil.example/42",
            f"https://{KEY}@h.example\\@evil.example/42",
            f"https://{KEY}\\@evil.example/42",
            f"https://{KEY}@h.example\t/42",
            f"https://{KEY}@h.example\x00/42",
            f"\x00https://{KEY}@h.example/42",
            f"https://{KEY}@h%2eexample/42",
            f"https://{KEY}@h.example,evil.example/42",
            f"https://{KEY}@hé.example/42",
            f"https://{KEY}@h\u3002example/42",
            f"https://{KEY}@h\uff0fexample/42",
            f"https://{KEY}@[::1/42",
            f"https://{KEY}@[h.example]/42",
            f"https://{KEY}@[::1]evil.example/42",
            f"https://{KEY}@::1/42",
        )
        for text in tricks:
            with self.subTest(text):
                self.refuse(text)

    def test_only_ipv6_addresses_stand_in_brackets(self) -> None:
        self.refuse(f"https://{KEY}@[v1.h]/42")

    def test_no_message_quotes_the_text(self) -> None:
        malformed = (
            "https://{}@h.example/42",
            "https://{}@h\uff0fexample/42",
            "https://{}@h\u2100example/42",
            "https://{}@[::1/42",
            "https://{}@[h.example]/42",
            "https://{}@h.example:port/42",
            "https://{}@h example/42",
            "https://{}@h.example/pump-station",
            "https://{}@hé.example/42",
            "ftp://{}@h.example/42",
            "{}",
        )
        for form in malformed:
            text = form.format(f"{KEY}:{SECRET}:")
            with self.subTest(form):
                message = self.refuse(text)
                for part in (KEY, SECRET, "example", "pump-station"):
                    self.assertNotIn(part, message)
