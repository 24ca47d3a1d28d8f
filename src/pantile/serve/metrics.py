"""Counts of what a server did, in the text format of Prometheus."""

import threading
from collections import Counter

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._below: Counter[float] = Counter()
        self._seconds = 0.0
        self._predicted = 0

    def answered(self, route: str, status: int, seconds: float) -> None:
        """``route`` is one of the server's own, or "other"."""
        with self._lock:
            self._answers[route, status] += 1
            if route == "/predict" and status == 200:
                self._predicted += 1
                self._seconds += seconds
                for bucket in _BUCKETS:
                    self._below[bucket] += seconds <= bucket

    def text(self, **gauges: float) -> str:
        """
        Args:
            gauges: more numbers, by their names.
        """
        with self._lock:
            lines = ["# TYPE pantile_requests_total counter"]
            for (route, status), count in sorted(self._answers.items()):
                lines.append(f'pantile_requests_total{{path="{route}",status="{status}"}} {count}')
            lines.append("# TYPE pantile_predict_seconds histogram")
            lines += [f'pantile_predict_seconds_bucket{{le="{b}"}} {self._below[b]}' for b in _BUCKETS]
            lines.append(f'pantile_predict_seconds_bucket{{le="+Inf"}} {self._predicted}')
            lines.append(f"pantile_predict_seconds_sum {self._seconds:.6f}")
            lines.append(f"pantile_predict_seconds_count {self._predicted}")
        for name, value in gauges.items():
            lines += [f"# TYPE pantile_{name} gauge", f"pantile_{name} {value:g}"]
        return "\n".join(lines) + "\n"
