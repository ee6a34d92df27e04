"""How well scores tell two classes apart: ROC AUC, Brier score, precision and recall."""

import numpy as np

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
BINS = 10


def measure(scores: np.ndarray, good: np.ndarray) -> dict:
    """ROC-AUC, Brier score, precision and recall by kept share, and calibration.

    scores  float[n] in [0, 1], in an order that has nothing to do with them, which settles ties
    good    bool[n], with both values among them

    kept: for each share the documents of highest score, rounded up. calibration: bins of equal width that are not
    empty, with the mean score in each and the share of documents that are good.
    """
    scores, good = scores.astype(np.float64), good.astype(bool)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(good[order])
    kept = []
    for share in SHARES:
        count = int(np.ceil(share * len(scores)))
        found = int(hits[count - 1])
        least = _rounded(scores[order[count - 1]])
        precision, recall = _rounded(found / count), _rounded(found / good.sum())
        kept.append({"share": share, "least_score": least, "precision": precision, "recall": recall})
    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    calibration = []
    for number in np.unique(place).tolist():
        mine = place == number
        calibration.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "documents": int(mine.sum()),
                "mean_score": _rounded(scores[mine].mean()),
                "positives": _rounded(good[mine].mean()),
            }
        )
    return {
        "positives": int(good.sum()),
        "negatives": int((~good).sum()),
        "roc_auc": _rounded(roc_auc(scores, good)),
        "brier": _rounded(((scores - good) ** 2).mean()),
        "kept": kept,
        "calibration": calibration,
    }


def roc_auc(scores: np.ndarray, good: np.ndarray) -> float:
    """Chance that a good document scores higher than another one, half for a tie (Mann and Whitney 1947)."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    n_good = int(good.sum())
    return float((rank[good].sum() - n_good * (n_good + 1) / 2) / (n_good * (len(good) - n_good)))


def _rounded(value: float) -> float:
    return round(float(value), 6)
