// Plays a stream of sound (elements.py, StreamText) while its text grows, piece after piece without a gap.
window.wordless = {
  context: null, // of Web Audio; a browser allows it after a click
  stopped: true, // pieces that arrive late are not played
  name: "", // of the stream
  played: 0, // pieces
  end: 0, // when the last piece ends, on the clock of the context
  sources: [],

  start() {
    this.stop();
    this.context ??= new AudioContext();
    this.context.resume();
    this.stopped = false;
  },

  stop() {
    this.stopped = true;
    this.forget();
  },

  forget() {
    this.sources.forEach((source) => source.stop());
    Object.assign(this, { name: "", played: 0, end: 0, sources: [] });
  },

  play(text) {
    if (!text || this.stopped) return;
    const [head, ...pieces] = text.split("\n");
    const [name, rate] = head.split(" ");
    if (name !== this.name) {
      this.forget();
      this.name = name;
    }
    for (const piece of pieces.slice(this.played)) this.append(piece, Number(rate));
  },

  append(piece, rate) {
    const bytes = Uint8Array.from(atob(piece), (letter) => letter.charCodeAt(0));
    const levels = new Int16Array(bytes.buffer);
    const buffer = this.context.createBuffer(1, levels.length, rate);
    buffer.copyToChannel(Float32Array.from(levels, (level) => level / 32767), 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    this.end = Math.max(this.end, this.context.currentTime + 0.1); // late pieces follow a pause
    source.start(this.end);
    this.end += buffer.duration;
    this.played += 1;
    this.sources.push(source);
  },
};

// Gradio runs the scripts of a click only after the answer of the click before, so the page listens itself.
document.addEventListener("click", (click) => {
  if (click.target.closest("#continue")) wordless.start();
  if (click.target.closest("#stop")) wordless.stop();
});

// A file that is no sound is refused in words; Gradio would list all types that it takes.
function refuse(event) {
  const file = (event.dataTransfer ?? event.target).files?.[0];
  if (!file || !event.target.closest("#sound")) return;
  const refused = document.querySelector("#refused");
  refused.hidden = file.type.startsWith("audio/");
  refused.textContent = `${file.name} is no sound that this browser knows; give a WAV, FLAC, Ogg or MP3 file.`;
  if (refused.hidden) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}
document.addEventListener("drop", refuse, true);
document.addEventListener("change", refuse, true);
