"""Annotations that other tools wrote: parts of recordings with start, end and label, read as they are.

========  ==============================================================  ==========================================
kind      files                                                           label; group
========  ==============================================================  ==========================================
raven     selection tables: tab-separated, with ``Begin Time (s)``        a column beyond Raven's measurements
elan      ``.eaf``                                                        a tier
textgrid  Praat ``.TextGrid``, long or short text                         a tier of intervals
audacity  label tracks, ``.txt``                                          the text
kaldi     a folder with ``wav.scp``, ``segments``, ``text``...            ``utt2label`` or ``text``; ``utt2spk``
lhotse    ``.jsonl``, ``.jsonl.gz``: cuts, or recordings + supervisions   ``custom.label`` or ``text``; ``speaker``
rttm      NIST ``.rttm``                                                  the speaker's name
ctm       NIST ``.ctm``                                                   the word
lab       ``.lab`` of HTK (100 ns) or in seconds                          the text
========  ==============================================================  ==========================================

`lines`, `tiers` and `data_folders` read one file, and `finding` finds the files beside the recordings. The readers are
our own, because each has few lines: ``praatio`` reads no Latin-1 and ``textgrid`` no UTF-8 with a mark, ``pympi-ling``
accepts a document type with entities, and ``crowsetta`` brings pandas, pandera and SciPy.
"""
