import unittest

from komand_sentry.util.sentry.dsn import DSN, InvalidDSN, parse_dsn

KEY = "0123456789abcdef0123456789abcdef"
SECRET = "fedcba9876543210fedcba9876543210"


class DSNTest(unittest.TestCase):
    def test_all_forms_of_a_dsn_are_parsed(self) -> None:
        forms = {
            f"https://{KEY}@h.example/42": DSN("https://h.example", "42", KEY),
            f"https://{KEY}:{SECRET}@h.example/42": DSN("https://h.example", "42", KEY, SECRET),
            f"https://{KEY}:@h.example/42/": DSN("https://h.example", "42", KEY),
            f"http://{KEY}@10.0.0.7:9000/api/42": DSN("http://10.0.0.7:9000/api", "42", KEY),
            f"https://{KEY}@my_relay/tools/Sentry-2/42": DSN("https://my_relay/tools/Sentry-2", "42", KEY),
            f"https://{KEY}@o7.ingest.de.sentry.io/42": DSN("https://o7.ingest.de.sentry.io", "42", KEY),
            f"http://{KEY}:{SECRET}@[2001:DB8::7]:9000/p/42": DSN("http://[2001:db8::7]:9000/p", "42", KEY, SECRET),
            f"  HTTPS://{KEY}@H.Example/42\n": DSN("https://h.example", "42", KEY),
        }
        for text, dsn in forms.items():
            with self.subTest(text):
                self.assertEqual(parse_dsn(text), dsn)

    def test_query_and_fragment_are_ignored(self) -> None:
        for tail in ("?", "?environment=a/7", "#", "?a=@b/9#c"):
            with self.subTest(tail):
                self.assertEqual(parse_dsn(f"https://{KEY}@h.example/42{tail}"), DSN("https://h.example", "42", KEY))

    def test_endpoints_keep_port_and_prefix_and_contain_no_key(self) -> None:
        dsn = parse_dsn(f"http://{KEY}:{SECRET}@[::1]:9000/tools/42?a=b")
        self.assertEqual(dsn.api_prefix, "http://[::1]:9000/tools/api/")
        self.assertEqual(dsn.store_url, "http://[::1]:9000/tools/api/42/store/")
        self.assertEqual(dsn.envelope_url, "http://[::1]:9000/tools/api/42/envelope/")

    def test_auth_header_contains_the_secret_key_if_there_is_one(self) -> None:
        start = f"Sentry sentry_version=7, sentry_client=a-client/1.0, sentry_timestamp=1700000000, sentry_key={KEY}"
        for secret, end in (("", ""), (SECRET, f", sentry_secret={SECRET}")):
            with self.subTest(secret=bool(secret)):
                header = DSN("https://h", "42", KEY, secret).auth_header(7, "a-client/1.0", 1700000000)
                self.assertEqual(header, start + end)

    def test_secret_key_is_in_neither_repr_nor_str(self) -> None:
        dsn = parse_dsn(f"https://{KEY}:{SECRET}@h.example/42")
        self.assertNotIn(SECRET, repr(dsn) + str(dsn))


class InvalidDSNTest(unittest.TestCase):
    def assert_rejected(self, text: str, words: str = "") -> None:
        """Check that the text is rejected with these words, without quoting it."""
        with self.subTest(text):
            with self.assertRaises(InvalidDSN) as caught:
                parse_dsn(text)
            self.assertIn(words, str(caught.exception))
            for part in (KEY, SECRET, "evil", "pump"):
                self.assertNotIn(part, str(caught.exception))

    def test_invalid_keys_are_rejected(self) -> None:
        for user in ("", "@", f":{SECRET}@"):
            self.assert_rejected(f"https://{user}evil.example/42", "public key")
        for user in (f"{KEY}:{SECRET}:", f"{KEY}:a b", f"{KEY},evil", f"{KEY}%0d", "k\u00e9y", "k" * 129):
            self.assert_rejected(f"https://{user}@evil.example/42", "" if " " in user else "keys")

    def test_invalid_project_is_rejected(self) -> None:
        for path in ("", "/", "/pump", "/42x", "/-42", "?/42", "#/42", "/42/pump", "/" + "4" * 21):
            self.assert_rejected(f"https://{KEY}:{SECRET}@evil.example{path}", "number of a project")

    def test_dot_segments_are_rejected(self) -> None:
        for path in ("/../42", "/./42", "/%2e%2e/42", "/a/%2E/42"):
            self.assert_rejected(f"https://{KEY}:{SECRET}@evil.example{path}")

    def test_project_has_ascii_digits(self) -> None:
        self.assert_rejected(f"https://{KEY}@evil.example/\u0664\u0662", "number of a project")

    def test_invalid_scheme_host_or_port_is_rejected(self) -> None:
        for scheme in ("ftp://", "", "//", "://", "file:///"):
            self.assert_rejected(f"{scheme}{KEY}:{SECRET}@evil.example/42")
        for host in ("", ":9000"):
            self.assert_rejected(f"https://{KEY}:{SECRET}@{host}/42", "no host")
        for port in ("evil", "65536", "-1", "0"):
            self.assert_rejected(f"https://{KEY}:{SECRET}@evil.example:{port}/42", "port")
        self.assert_rejected("")

    def test_host_that_url_parsers_interpret_differently_is_rejected(self) -> None:
        for host in (
            "h@evil",
            "h\\@evil",
            "h,evil",
            "h%2eevil",
            "h\u00e9.evil",
            "h\u3002evil",
            "h\uff0fevil",
            "\u2100evil",
        ):
            self.assert_rejected(f"https://{KEY}:{SECRET}@{host}/42")
        for host in ("[::1", "[evil]", "::1", "[::1]evil", "[v1.evil]", "[v1.evil:1]"):
            self.assert_rejected(f"https://{KEY}:{SECRET}@{host}/42")

    def test_spaces_and_control_characters_are_rejected_everywhere(self) -> None:
        for character in " \t\r\n\x00\x7f\\":
            for form in ("{}/42", ".evil{}.example/42", "/pump{}/42", "/4{}2"):
                self.assert_rejected(f"https://{KEY}:{SECRET}@evil{form.format(character)}", "control character")
        self.assert_rejected(f"\x00https://{KEY}:{SECRET}@evil.example/42", "control character")
