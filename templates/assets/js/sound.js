/* Alarm tones: a rhythm of its own for each level, played as a looped buffer so that a throttled timer cannot change it.
 * high: three and two quick rising pulses, again every 2.4 s. medium: three even pulses every 6 s. low: one soft
 * double note every 20 s. */
const RATE = 22_050;
const PATTERNS = {
  high: { period: 2.4, notes: [[0, 880], [0.18, 880], [0.36, 1175], [0.72, 880], [0.9, 1175]], length: 0.15, gain: 0.95 },
  medium: { period: 6, notes: [[0, 660], [0.34, 660], [0.68, 660]], length: 0.24, gain: 0.75 },
  low: { period: 20, notes: [[0, 523], [0.3, 659]], length: 0.32, gain: 0.5 },
};
const TEST = { notes: [[0, 659], [0.28, 784], [0.56, 988]], length: 0.26, gain: 0.8, period: 1 };
/** Levels by urgency; "info" has no sound. */
export const LEVELS = ["high", "medium", "low"];

let context = null;
let playing = null;
let level = null;
const buffers = new Map();

function buffer(name, pattern) {
  if (!buffers.has(name)) {
    const made = context.createBuffer(1, Math.round(RATE * pattern.period), RATE);
    const samples = made.getChannelData(0);
    for (const [at, pitch] of pattern.notes) {
      const first = Math.round(at * RATE);
      const count = Math.round(pattern.length * RATE);
      for (let i = 0; i < count && first + i < samples.length; i += 1) {
        const t = i / RATE;
        // Soft edges against clicks; two overtones so that small tablet speakers and worn ears still hear it.
        const edge = Math.min(1, t / 0.012, (pattern.length - t) / 0.04);
        const wave = Math.sin(2 * Math.PI * pitch * t) + 0.45 * Math.sin(4 * Math.PI * pitch * t) + 0.25 * Math.sin(6 * Math.PI * pitch * t);
        samples[first + i] += (wave / 1.7) * edge * pattern.gain;
      }
    }
    buffers.set(name, made);
  }
  return buffers.get(name);
}

/** Whether tones can be heard now, as far as the browser knows. */
export const running = () => context?.state === "running";

/** Opens the speaker; must follow a press, or succeed because the browser remembers one. */
export async function start(onChange) {
  if (!context) {
    const Audio = window.AudioContext ?? window.webkitAudioContext;
    if (!Audio) return false;
    context = new Audio();
    context.addEventListener("statechange", onChange);
  }
  // resume() never settles where it is not allowed: do not wait for ever.
  if (context.state !== "running") await Promise.race([context.resume().catch(() => {}), new Promise((done) => setTimeout(done, 800))]);
  return running();
}

export function test() {
  if (!running()) return;
  const node = context.createBufferSource();
  node.buffer = buffer("test", TEST);
  node.connect(context.destination);
  node.start();
}

/** Sounds a level until told otherwise; null is silence. */
export function sound(next) {
  if (next === level && (next === null) === (playing === null)) return;
  playing?.stop();
  playing = null;
  level = next;
  if (!next || !context) return;
  playing = context.createBufferSource();
  playing.buffer = buffer(next, PATTERNS[next]);
  playing.loop = true;
  playing.connect(context.destination);
  playing.start();
}

/** What sounds now, for tests and for the page: "high" | "medium" | "low" | null. */
export const sounding = () => (running() && playing ? level : null);
