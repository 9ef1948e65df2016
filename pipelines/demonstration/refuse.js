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
