"""The names of the autoscaling annotations, both spellings where the API has two; the kebab-case one wins."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.contracts import names
from tidegate.contracts.autoscaler_config import DEFAULTS, AutoscalerConfig

Annotations = Mapping[str, str]

CONCURRENCY = "concurrency"
RPS = "rps"
LINEAR = "linear"
WEIGHTED_EXPONENTIAL = "weighted-exponential"
PROGRESS_DEADLINE = names.SERVING + "progress-deadline"


def _spellings(kebab: str, camel: str = "") -> tuple[str, ...]:
    return tuple(names.AUTOSCALING + name for name in (kebab, camel) if name)


CLASS = _spellings("class")
METRIC = _spellings("metric")
TARGET = _spellings("target")
TARGET_UTILIZATION = _spellings("target-utilization-percentage", "targetUtilizationPercentage")
TARGET_BURST_CAPACITY = _spellings("target-burst-capacity", "targetBurstCapacity")
MIN_SCALE = _spellings("min-scale", "minScale")
MAX_SCALE = _spellings("max-scale", "maxScale")
INITIAL_SCALE = _spellings("initial-scale", "initialScale")
ACTIVATION_SCALE = _spellings("activation-scale")
WINDOW = _spellings("window")
PANIC_WINDOW_PERCENTAGE = _spellings("panic-window-percentage", "panicWindowPercentage")
PANIC_THRESHOLD_PERCENTAGE = _spellings("panic-threshold-percentage", "panicThresholdPercentage")
SCALE_DOWN_DELAY = _spellings("scale-down-delay", "scaleDownDelay")
POD_RETENTION = _spellings("scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod")
AGGREGATION_ALGORITHM = _spellings("metric-aggregation-algorithm", "metricAggregationAlgorithm")

ALGORITHMS = {
    LINEAR: LINEAR,
    WEIGHTED_EXPONENTIAL: WEIGHTED_EXPONENTIAL,
    "weightedExponential": WEIGHTED_EXPONENTIAL,
}


def find(annotations: Annotations, keys: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the spelling present and its value, or None when no spelling is."""
    return next(((key, annotations[key]) for key in keys if key in annotations), None)


def class_of(annotations: Annotations, config: AutoscalerConfig = DEFAULTS) -> str:
    """Return the autoscaler class that owns a revision."""
    return annotations.get(CLASS[0]) or config.pod_autoscaler_class
