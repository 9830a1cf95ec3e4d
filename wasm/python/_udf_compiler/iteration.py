"""One walk over what a loop goes over."""


class Iteration:
    """One walk, whose beginning has been emitted.

    Attributes:
        more: The instructions of the condition that there is another item.
        item: Emits what reads the item; returns it.
        advance: Emits what goes on to the next, with the label behind the loop.
        is_set: It goes over a set.
    """

    def __init__(self, more, item, advance):
        self.more, self.item, self.advance = more, item, advance
        self.is_set = False
