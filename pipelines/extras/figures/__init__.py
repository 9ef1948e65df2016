"""``wordless figures``: the charts of a run or a sweep as files for a paper."""
