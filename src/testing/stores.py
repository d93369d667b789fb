"""The stores that share one database, and the notifier they announce to."""

from dataclasses import dataclass

from encola.application.ports import JobCatalog, JobFeed, JobOutputs, JobStore, Notifier, WorkBoard


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Six ports over one state: what one of them writes, the others find."""

    jobs: JobStore
    board: WorkBoard
    catalog: JobCatalog
    feed: JobFeed
    outputs: JobOutputs
    notifier: Notifier
