"""The queues in RabbitMQ, as publishers and workers both declare them."""

from typing import Any, Final, Literal

QueueType = Literal["classic", "quorum"]

DEAD_EXCHANGE: Final = "encola.dead"
DEAD_QUEUE: Final = "encola.dead"
DEAD_LETTERS_KEPT: Final = 10_000

DELIVERY_LIMIT: Final = 100
"""How often a quorum queue delivers one message.

Every loss of a connection counts for all that its worker holds, so that RabbitMQ's own limit of 20 would
drop jobs in a bad night. What a job itself may cost is counted in the store.
"""


def queue_arguments(queue_type: QueueType) -> dict[str, Any]:
    """Return the arguments under which a queue of jobs is declared, by whoever declares it."""
    if queue_type == "classic":
        return {"x-queue-type": "classic"}
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD_EXCHANGE,
        "x-dead-letter-strategy": "at-least-once",
        # RabbitMQ asks for it where dead letters must not be lost.
        "x-overflow": "reject-publish",
    }


def dead_queue_arguments(queue_type: QueueType) -> dict[str, Any]:
    """Return the arguments of the queue of dead letters.

    They are for people to look at: the store holds the jobs, and gives them again.
    """
    return {"x-queue-type": queue_type, "x-max-length": DEAD_LETTERS_KEPT}
