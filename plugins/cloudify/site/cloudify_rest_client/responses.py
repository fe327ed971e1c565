"""Lists as the REST API gives them."""

from outrider_facade import further_names

from cloudify_rest_client.exceptions import CloudifyClientError

__getattr__ = further_names(__name__)


class Pagination(dict):
    """Which part of the whole a list is."""

    @property
    def offset(self):
        """Number of the first item."""
        return self.get("offset")

    @property
    def size(self):
        """The largest number of items in one answer."""
        return self.get("size")

    @property
    def total(self):
        """The number of items in all answers."""
        return self.get("total")


class Metadata(dict):
    """What is known about a list."""

    def __init__(self, values):
        super().__init__(values or {})
        self.pagination = Pagination(self.get("pagination") or {})

    @property
    def filtered(self):
        """How many items there would be without the filter."""
        return self.get("filtered")


class ListResponse:
    """A list of objects."""

    def __init__(self, items, metadata):
        self.items = items
        self.metadata = Metadata(metadata)

    def __iter__(self):
        return iter(self.items)

    def __getitem__(self, index):
        return self.items[index]

    def __len__(self):
        return len(self.items)

    def one(self):
        """Return the only item. Raises CloudifyClientError if there is none, or more."""
        if len(self.items) != 1:
            raise CloudifyClientError(f"expected one item, the list has {len(self.items)}", status_code=404)
        return self.items[0]

    def sort(self, *args, **kwargs):
        """Sort like a list."""
        return self.items.sort(*args, **kwargs)
