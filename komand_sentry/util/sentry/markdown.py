"""Untrusted text in Markdown: escaped, so that it is not shown as a mention, a link, HTML or formatting. Without I/O.

Tickets and chats interpret Markdown differently. Beyond CommonMark and GitHub's extensions, the escaping considers
Slack (`<!here>`, `<@U1>`, `<https://...|text>`, no backslash escapes, only fences of three backticks), Jira
(`[~user]`, `{macro}`) and readers that turn URLs, domains and e-mail addresses into links. What has no escape is
separated by a zero-width space.
"""

import re

ZERO_WIDTH_SPACE = "\u200b"

# An escaped character has at most this length.
_MAX_EXPANSION = len("&amp;")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SPECIAL = re.compile(
    r"""(?P<entity>[&<>])
    | (?P<escape>[\\*\[\]{}|~$] | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9]))
    | (?P<separate>[@#]             # mentions, e-mail addresses, channels, references to issues
        | :(?=/) | /(?=/)           # https://, //
        | \.(?=[^\W\d_])            # example.com
        | \b(?:www(?=\.)|(?:mailto|xmpp)(?=:)))""",
    re.X | re.I,
)
# Slack and Jira find these in code, too. Three backticks end the code.
_SPECIAL_IN_CODE = re.compile(r"<(?=[!@#]|[a-z]+:)|\[(?=~)|@(?=(?:here|channel|everyone|all)\b)|``(?=`)", re.I)
# A URL that needs no escaping in a link, and that no reader ends too early.
_SAFE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9/_.~-]*)?(?:\?[A-Za-z0-9=_.%-]*)?")
_MAX_URL_LENGTH = 300


def escape(text: str, max_length: int) -> str:
    """A text on one line, for use after other text of the same line.

    :param max_length: of the text. Escaped, it has at most twice this length
    """
    text = _single_line(text, max_length)
    escaped = _SPECIAL.sub(_escape_match, text)
    if len(escaped) <= 2 * max_length:
        return escaped
    return _SPECIAL.sub(_escape_match, shorten(text, 2 * max_length // _MAX_EXPANSION))


def code(text: str, max_length: int) -> str:
    """A text on one line as inline code, "" if it is blank. It has at most twice the length, and the backticks."""
    text = _single_line(text, max_length)
    return f"`{_escape_code(text)}`" if text else ""


def code_block(text: str, max_length: int) -> str:
    """A text of several lines as a code block, "" if it is blank. What is too long loses its first lines."""
    lines = [_escape_code(_printable(line, keep_indent=True)) for line in text.split("\n")]
    available = max_length - len("```\n") - len("\n```")
    while lines and sum(map(len, lines)) + len(lines) - 1 > available:
        del lines[0]
    content = "\n".join(lines)
    return f"```\n{content}\n```" if content.strip() else ""


def link(text: str, url: str, max_length: int) -> str:
    """A link, or only its text if the URL is not a plain http(s) URL."""
    escaped = escape(text, max_length)
    is_safe = len(url) <= _MAX_URL_LENGTH and _SAFE_URL.fullmatch(url)
    return f"[{escaped}]({url})" if is_safe else escaped


def shorten(text: str, max_length: int) -> str:
    """Truncate a text, at a space if there is one near the end."""
    if len(text) <= max_length:
        return text
    start = text[: max_length - 3]
    words = start.rpartition(" ")[0]
    return f"{words if len(words) > max_length * 2 // 3 else start}..."


def _single_line(text: str, max_length: int) -> str:
    """A text on one line, with apostrophes for backticks, which start code where a backslash does not escape them."""
    # Only search the part of a long text that can remain.
    return shorten(_printable(text[: 4 * max_length]), max_length).replace("`", "'")


def _escape_match(match: re.Match[str]) -> str:
    if match["entity"]:
        return _ENTITIES[match[0]]
    return f"\\{match[0]}" if match["escape"] else f"{match[0]}{ZERO_WIDTH_SPACE}"


def _escape_code(text: str) -> str:
    return _SPECIAL_IN_CODE.sub(lambda match: match[0] + ZERO_WIDTH_SPACE, text)


def _printable(text: str, keep_indent: bool = False) -> str:
    """Without control and formatting characters, which can reverse or hide text, and with single spaces."""
    indent = text[: len(text) - len(text.lstrip(" "))] if keep_indent else ""
    spaced = "".join(character if character.isprintable() else _space(character) for character in text)
    return indent + " ".join(spaced.split())


def _space(character: str) -> str:
    return " " if character.isspace() else ""
