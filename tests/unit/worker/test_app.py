"""The Celery application of workers, against a real server."""

from __future__ import annotations

import pytest

from ipvm_queue.settings import Settings
from ipvm_queue.worker.app import defaults
from ipvm_queue.worker.tasks import RunRequest


@pytest.mark.parametrize("database", [0, 3])
def test_channels_are_those_of_the_acl_in_every_database(stack, database):
    """config/users.acl and the users of workers name them, and cannot know which database a queue is in."""
    from celery import Celery

    app = Celery("test", set_as_current=False)
    app.conf.update(defaults(Settings(broker_url=stack.url[:-1] + str(database), queue="q"), ["ipvm.wasm"]))
    with app.connection_for_write() as connection:
        channel = connection.default_channel

        assert channel.keyprefix_fanout == "/0."


def test_celery_s_revoke_has_no_say():
    """A message that would be dropped would leave its run standing still: it says only that there is work."""
    assert RunRequest.revoked(None) is False
