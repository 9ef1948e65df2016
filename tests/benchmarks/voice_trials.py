"""``voice_trials.py RUN CLIPS FOLDER NAME=START[,passes=3][,cut=0.002][,voiced_temperature=0.8][,mix=0.5,below=1000] ...``

Decodes the clips that the file CLIPS lists with the tokenizer of RUN, and writes their figures.
"""
import sys, json, zlib
from pathlib import Path
import numpy as np, torch
from dataclasses import replace
torch.set_num_threads(1)
from tokenizer.tokenizer import Tokenizer
from vocoder import measures as M
from vocoder.vocoder import Vocoder, DecodingInput
from vocoder.options import SoundOptions, Sampling
from vocoder.synthesis import Unlearned
from vocoder.kinds import BY_KEY, HARMONICS
from vocoder.speech_judges import dnsmos, distillmos
from pipelines.stages.start import statistics_of, saved_vocoder, start_folder, VOICE
from vocoder.wavenet import transferred
from wordless.base.saved_models import VOCODER
from wordless.base.seeds import sound_seed
from wordless.audio.reading import read
from wordless.audio.levels import read_loudest

run, listed, folder, *specs = sys.argv[1:]
out, which = Path(folder) / 'figures.json', 'wav'
D0 = Path(run)
tok = Tokenizer.from_pretrained(D0 / "tokenizer")
names = Path(listed).read_text().split("\n")
step = tok.format.samples_per_code
orig = []
for n in names:
    ex = read_loudest(Path(n), 16000, 3.0, step=step).waveform
    orig.append(ex)
codes = [tok.encode(o) for o in orig]
guard_from = Vocoder.from_pretrained(D0 / "vocoder")

import vocoder.vocoder as VV
from vocoder.synthesis import harmonics as HH
from vocoder.frames import pitch_of, pitch_inputs, frequencies
from vocoder.filters import analyse, synthesise
from torch.nn.functional import pad
def mixer(a, below):
    made = iter(range(len(codes)))
    original = VV.Rendering._filtered
    def _filtered(self, levels):
        c = codes[next(made)]
        raw = torch.cat([VV.mu_law_decode(l, levels=256) for l in levels])
        octs = pitch_of(c.values, tok)
        near = np.pad(octs, 1, constant_values=np.nan)
        _, amp = frequencies(pitch_inputs(torch.from_numpy(near)), hop_length=160, sample_rate=16000)
        h = torch.cat([*HH(c, tok)]).float(); h = pad(h, (0, len(raw) - len(h)))
        fe = tok.front_end
        low = torch.fft.rfftfreq(fe.window_length, 1 / fe.sample_rate) <= below
        d = synthesise(analyse(h - raw, fe) * low, fe)
        out = raw + a * amp.float()[: len(raw)] * d
        for piece in torch.split(out, 64 * 160):
            yield self.filter.filter(piece)
        yield self.filter.finish()
    VV.Rendering._filtered = _filtered
    return original

def decode(spec):
    name, _, rest = spec.partition("=")
    start, *opts = rest.split(",")
    o = dict(x.split("=") for x in opts)
    passes = int(o["passes"]) if "passes" in o else None
    so = SoundOptions(postfilter_passes=passes, pitch_comb=o.get("comb", "1") == "1", engine=o.get("engine", "auto"))
    clips = [DecodingInput(codes=c, seed=sound_seed(int(o.get("seed", 0)), n)) for c, n in zip(codes, names)]
    extra = {k: json.loads(o[k]) for k in ("voiced_temperature", "cut") if k in o}
    if start in BY_KEY:
        sm = so.sampled(temperature=1.0)
        return name, Unlearned(BY_KEY[start]).decode_batch(clips, tok, sm)
    v = Vocoder.from_pretrained(start_folder(start, VOCODER, option=VOICE))
    cfg = replace(v.model.config, groups=())
    model = transferred(v.model, cfg, known=statistics_of(start), new=tok.statistics, seed=0)
    voc = Vocoder(model, tok.format.tokenizer, options=so, loudness=guard_from.guard.loudness)
    sm = so.sampled(temperature=float(o.get("temperature", 1.0)))
    if extra: sm = replace(sm, **extra)
    if "mix" in o:
        old = mixer(float(o["mix"]), float(o["below"]))
        try: r = voc.decode_batch(clips, tok, sm)
        finally: VV.Rendering._filtered = old
        return name, r
    r = voc.decode_batch(clips, tok, sm)
    return name, r

res = json.loads(Path(out).read_text()) if Path(out).exists() else {}
contours = None
def one(o, s, c, contour):
    f = M.beside(o, s, contour, tok.front_end, {"stoi"})
    f["codes"] = M.code_agreement(c, tok.encode(s))
    f["periodicity"] = M.periodicity(s, o)
    return f
C = Path(folder) / "contours.npz"
if C.exists():
    z = np.load(C); contours = [z[str(i)] for i in range(len(orig))]
else:
    contours = [M.pitch(o) for o in orig]; np.savez(C, **{str(i): c for i, c in enumerate(contours)})
rec = Path(folder) / "recordings"; rec.mkdir(parents=True, exist_ok=True)
for i, o in enumerate(orig): o.write(rec / f"{i}.wav")
for spec in specs:
    name, sounds = decode(spec)
    folder = Path(folder) / name; folder.mkdir(parents=True, exist_ok=True)
    for i, s in enumerate(sounds): s.write(folder / f"{i}.wav")
    res[name] = [one(o, s, c, k) for o, s, c, k in zip(orig, sounds, codes, contours)]
    Path(out).write_text(json.dumps(res))
    print("done", name, flush=True)
