"""Makes the pages of list calls: in this process, or, where many ask at once, in processes that do nothing else.

`jobs` says what a page is made of, `pool` keeps the processes, `process` is their program, `frames` what both speak.
"""

from outrider.manager_stub.reading.jobs import PageJob, everything, make_page
from outrider.manager_stub.reading.pool import PageProcesses

__all__ = ["PageJob", "PageProcesses", "everything", "make_page"]
