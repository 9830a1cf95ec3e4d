"""Reads HTML as a browser does, to see what of it is text and what is not."""

from html.parser import HTMLParser

# All that our HTML consists of.
TAGS = {"div", "strong", "pre", "span", "table", "thead", "tbody", "tr", "th", "td", "code", "details", "summary"}


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.other = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def text_of(html, styles=None):
    """The text of HTML that has no other elements and attributes than ours; checks that.

    Args:
        html: the HTML.
        styles: takes the values of its `style` attributes.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert set(reader.tags) <= TAGS
    assert {name for name, _ in reader.attributes} <= {"style"}
    assert reader.other == []
    if styles is not None:
        styles.update(value for _, value in reader.attributes)
    return "".join(reader.texts)
