"""Numba kernels of `wordless.audio.pitch_contour`: the correlations of a block of hops, and the best path through hops.

Sums are in a stated order and stay in float64: neither the width of a vector nor the sizes of pieces change a bit.
"""

import numpy as np

from wordless.base.compiling import kernel


@kernel
def correlate(samples, reversed_samples, hops, hop, reach, window, shortest, longest, extra):
    """Correlate around the middle of each hop: ``(hops * hop + 2 * reach,)`` -> ``(hops, lags)``.

    The two samples of a product lie around its place m. Products are summed over the segments that the windows of all
    hops divide the places into, so that each product is computed once::

        window of hop 0   [ a ][    b    ][ a ][    b    ][ a ]                     a + b: a hop
        window of hop 1                   [ a ][    b    ][ a ][    b    ][ a ]
        lag 2 h           x[m - h] * x[m + h]
        lag 2 h + 1       x[m - h] * x[m + h + 1]

    For one place, all lags are neighbours in memory: in the samples, and in the reversed samples.
    """
    whole, rest = window // hop, window % hop
    found = np.empty((hops, longest - shortest + 1))
    energies = np.zeros(len(samples) + 1)
    for number in range(len(samples)):
        energies[number + 1] = energies[number] + samples[number] * samples[number]
    for odd in range(2):
        low, high = (shortest + 1 - odd) // 2, (longest - odd) // 2  # of h
        width = high - low + 1
        sums = np.zeros((hops + whole, 2, width))
        for number in range(hops + whole):
            start = reach + hop // 2 - (window + odd) // 2 + number * hop
            for part in range(2):
                begin, end = (start, start + rest) if part == 0 else (start + rest, start + hop)
                if number == hops + whole - 1 and part == 1:
                    continue  # after the last window
                row = sums[number, part]
                for place in range(begin, end):
                    earlier = reversed_samples[len(samples) - 1 - place + low :]
                    later = samples[place + low + odd :]
                    for column in range(width):
                        row[column] += earlier[column] * later[column]
        for number in range(hops):
            for column in range(width):
                total = 0.0
                for each in range(number, number + whole):
                    total += sums[each, 0, column] + sums[each, 1, column]
                total += sums[number + whole, 0, column]
                lag = 2 * (low + column) + odd
                first = reach + number * hop + hop // 2 - (window + lag) // 2
                one = energies[first + window] - energies[first] + extra
                other = energies[first + lag + window] - energies[first + lag] + extra
                found[number, lag - shortest] = total / np.sqrt(one * other)
    return found


@kernel
def follow(values, before, known, score, octaves, jump, switch, longer, unvoiced, look_ahead):
    """Extend the best path by the hops from ``known`` on, of which ``values (hops, lags)`` are the correlations.

    Fills ``before (hops, lags + 1)``, the state before each lag and before no voice, which is the last state, and
    updates ``score (lags + 1,)`` of the best path to each state. Returns the states of all hops: a hop is on the best
    path when the next ``look_ahead`` hops are known, and the last hops on that so far.
    """
    lags = len(octaves)
    best, place = np.empty(lags), np.empty(lags, np.int64)
    path = np.empty(len(values), np.int64)
    for number in range(known, len(values)):
        # The best way to each lag costs the distance of the two pitches: a running maximum from either side.
        highest, at = -np.inf, 0
        for lag in range(lags):
            if score[lag] - jump * octaves[lag] >= highest:
                highest, at = score[lag] - jump * octaves[lag], lag
            best[lag], place[lag] = highest + jump * octaves[lag], at
        highest = -np.inf
        for lag in range(lags - 1, -1, -1):
            if score[lag] + jump * octaves[lag] >= highest:
                highest, at = score[lag] + jump * octaves[lag], lag
            if highest - jump * octaves[lag] > best[lag]:
                best[lag], place[lag] = highest - jump * octaves[lag], at
        loudest = np.argmax(score[:lags])
        silent = score[lags]
        before[number, lags] = loudest if score[loudest] - switch > silent else lags
        score[lags] = max(silent, score[loudest] - switch) + unvoiced
        most = score[lags]
        for lag in range(lags):
            begins = silent - switch > best[lag]
            before[number, lag] = lags if begins else place[lag]
            way = silent - switch if begins else best[lag]
            score[lag] = way + values[number, lag] - longer * (octaves[0] - octaves[lag])
            most = max(most, score[lag])
        for state in range(lags + 1):
            score[state] -= most
        loudest = np.argmax(score[:lags])
        state = int(loudest) if score[loudest] > score[lags] else lags
        for hop in range(number, max(number - look_ahead, 0) - 1, -1):
            path[hop] = state
            state = before[hop, state]
    return path
