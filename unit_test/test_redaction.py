import json
import logging
import unittest

from komand_sentry.util.errors.redaction import (
    MASK,
    MAX_LISTED,
    MAX_NAME_LENGTH,
    MAX_QUOTE_LENGTH,
    RedactingLogger,
    join_truncated,
    mask_secret,
    quote,
    redact,
    sanitize,
)
from komand_sentry.util.http.messages import Response

SECRET = "sntryu_" + "0123456789abcdef" * 4


class RedactTest(unittest.TestCase):
    def test_secrets_are_replaced(self) -> None:
        for text, secrets, redacted in (
            (f"Invalid token {SECRET}.", (SECRET,), f"Invalid token {MASK}."),
            (f"{SECRET}{SECRET}", (SECRET,), MASK + MASK),
            ("Invalid key", ("", "key"), "Invalid key"),
            ("no secret", (), "no secret"),
        ):
            with self.subTest(text):
                self.assertEqual(redact(text, secrets), redacted)

    def test_secret_within_another_leaves_nothing_of_it(self) -> None:
        for secrets in ((SECRET[10:20], SECRET), (SECRET, SECRET[10:20]), ("c", SECRET), (SECRET[:20], SECRET)):
            with self.subTest(secrets):
                self.assertEqual(redact(f"Invalid key {SECRET}.", secrets), f"Invalid key {MASK}.")


class SanitizeTest(unittest.TestCase):
    def test_text_is_printable_and_has_a_maximum_length(self) -> None:
        for text, sanitized in (
            ("pump station", "pump station"),
            ("a\r\nb\x1b\u2028c", "a??b??c"),
            ("\ud800", "?"),
            ("x" * MAX_NAME_LENGTH, "x" * MAX_NAME_LENGTH),
            ("x" * (MAX_NAME_LENGTH + 1), "x" * MAX_NAME_LENGTH + "..."),
        ):
            with self.subTest(repr(text)):
                self.assertEqual(sanitize(text), sanitized)

    def test_long_list_is_truncated(self) -> None:
        names = tuple(f"p{number}" for number in range(MAX_LISTED + 3))
        for count, text in (
            (0, "none"),
            (1, "p0"),
            (MAX_LISTED, ", ".join(names[:MAX_LISTED])),
            (MAX_LISTED + 1, f"{', '.join(names[:MAX_LISTED])} and 1 more"),
            (MAX_LISTED + 3, f"{', '.join(names[:MAX_LISTED])} and 3 more"),
        ):
            with self.subTest(count):
                self.assertEqual(join_truncated(names[:count]), text)
        self.assertEqual(join_truncated(("a\nb",)), "a?b")

    def test_quote_is_one_redacted_line_of_limited_length(self) -> None:
        for text, quoted in (
            (f" a\r\n  b\x1b {SECRET} ", f"a b? {MASK}"),
            ("x" * MAX_QUOTE_LENGTH, "x" * MAX_QUOTE_LENGTH),
            ("x" * (MAX_QUOTE_LENGTH + 1), "x" * MAX_QUOTE_LENGTH + "..."),
        ):
            with self.subTest(text[:40]):
                self.assertEqual(quote(text, (SECRET,)), quoted)
        # A part of a secret is a secret, too.
        self.assertNotIn(SECRET[:7], quote("x" * (MAX_QUOTE_LENGTH - 20) + SECRET, (SECRET,)))


class RedactingLoggerTest(unittest.TestCase):
    def test_lines_are_redacted_and_keep_their_level(self) -> None:
        log = RedactingLogger(logging.getLogger("plugin.test"), (SECRET, "other-secret"))
        with self.assertLogs("plugin.test", "INFO") as logs:
            log.info(f"Read issue {SECRET}, 100 % of other-secret")
            log.warning(f"Trying organization {SECRET}")
        self.assertEqual(
            logs.output,
            [
                f"INFO:plugin.test:Read issue {MASK}, 100 % of {MASK}",
                f"WARNING:plugin.test:Trying organization {MASK}",
            ],
        )

    def test_secrets_are_not_in_its_repr(self) -> None:
        self.assertNotIn(SECRET, repr(RedactingLogger(logging.getLogger("plugin.test"), (SECRET,))))


class MaskSecretTest(unittest.TestCase):
    """test_properties.py compares it with the runtime."""

    def test_secret_is_masked_in_texts_and_not_in_keys(self) -> None:
        value = {"a": [f"token {SECRET}", {SECRET: SECRET}], "b": 7, "c": None}
        expected = {"a": [f"token {MASK}", {SECRET: MASK}], "b": 7, "c": None}
        self.assertEqual(mask_secret(value, SECRET, json.dumps(value).encode()), expected)

    def test_value_without_the_secret_is_not_copied(self) -> None:
        value = {"a": ["x" * 100, {"b": "y"}]}
        self.assertIs(mask_secret(value, SECRET, json.dumps(value).encode()), value)

    def test_empty_secret_masks_nothing(self) -> None:
        self.assertEqual(mask_secret(["", "a"], "", b'["", "a"]'), ["", "a"])

    def test_secret_with_json_escapes_is_masked(self) -> None:
        for secret, escaped in (
            (SECRET, f"\\u0073{SECRET[1:]}"),
            (SECRET, SECRET.replace("_", "\\u005F")),
            ("a/long/token", "a\\/long\\/token"),
            ('a"quoted"token', 'a\\"quoted\\"token'),
            ('a"quoted"token', "a\\u0022quoted\\u0022token"),
            ("a\\back\\slash", "a\\\\back\\\\slash"),
        ):
            with self.subTest(escaped):
                raw = f'["token {escaped}"]'.encode()
                self.assertEqual(json.loads(raw), [f"token {secret}"])
                self.assertEqual(mask_secret(json.loads(raw), secret, raw), [f"token {MASK}"])

    def test_json_in_an_encoding_that_the_search_does_not_understand_is_refused(self) -> None:
        for encoding in ("utf-16", "utf-32-be"):
            with self.subTest(encoding), self.assertRaises(ValueError):
                Response(200, {}, json.dumps({"a": SECRET}).encode(encoding)).json()

    def test_secret_is_masked_with_and_without_a_byte_order_mark(self) -> None:
        value = {"a": [f"token {SECRET}"]}
        for encoding in ("utf-8", "utf-8-sig"):
            with self.subTest(encoding):
                raw = json.dumps(value).encode(encoding)
                self.assertEqual(mask_secret(json.loads(raw), SECRET, raw), {"a": [f"token {MASK}"]})
