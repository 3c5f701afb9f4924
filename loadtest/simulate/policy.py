"""What decides how many pods there are: the seam between the simulated data path and a policy.

The data path tells a policy what happens; a policy acts on revisions (`scale_to`, `start_pod`, `stop_pod`, `mode`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.simulate.pods import Pod
    from loadtest.simulate.revision import Revision


class Policy:
    """Does nothing when told something; policies override what they need to hear."""

    name = ""

    def adopt(self, revision: Revision) -> None:
        """A revision appears: bring it to the state in which the trace finds it."""

    def entered(self, revision: Revision) -> None:
        """A request reached the activator."""

    def waits(self, revision: Revision) -> None:
        """It found no seat and waits."""

    def left(self, revision: Revision) -> None:
        """A request left the activator, answered or not."""

    def pod_created(self, revision: Revision, pod: Pod) -> None:
        """A pod begins to start."""

    def pod_changed(self, revision: Revision, pod: Pod) -> None:
        """A pod became ready, began to stop, or is gone."""

    def pod_idle(self, revision: Revision, pod: Pod) -> None:
        """The last request of a pod has left it."""
