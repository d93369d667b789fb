"""Dramatiq on RabbitMQ, with results in Redis. It keeps no states: a result is all one sees."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.distributed.peers.payload import AMQP_URL, PARAMS, REDIS_URL, RESULT

QUEUE = "bench_dramatiq"

broker = RabbitmqBroker(url=AMQP_URL)
results = RedisBackend(url=REDIS_URL)
broker.add_middleware(Results(backend=results))
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="noop", queue_name=QUEUE, store_results=True)
def noop(params: dict[str, str]) -> dict[str, bool]:
    """Return at once."""
    return RESULT


def submit(task: str, jobs: int) -> list[str]:
    """Enqueue one after the other, and return where Dramatiq keeps the results."""
    actor = broker.get_actor(task)
    return [results.build_message_key(actor.send(PARAMS)) for _ in range(jobs)]
