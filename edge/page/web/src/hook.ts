// window.lyceum: a look inside for browser tests and for people who help from afar. It never shows a token.

/** Diagnosis is what `window.lyceum.state()` answers on every page. */
export interface Diagnosis {
  page: 'landing' | 'gate' | 'watch' | 'teach'
  room: string
  /** watch: idle, joining, waiting, live, reconnecting, ended. teach: off, connecting, live, reconnecting, failed. */
  status: string
  /** Id of the node that serves, or its base URL while the id is not known; empty when there is none. */
  node: string
  nodeUrl: string
  why: string
  /** Pictures decoded by this session (watch) or encoded in the largest size (teach). */
  framesDecoded: number
  framesEncoded: number
  /** Loudness, 0 to 1, of what is heard (watch) or of the microphone (teach). */
  audioLevel: number
  width: number
  height: number
  bitrate: number
  rtt: number
  /** How often the session had to be opened again. */
  moves: number
  /** What the node shows us (watch): all, less, audio-only, as wished. */
  showing: string
  /** Whether a screen is shared (teach: off, connecting, live, reconnecting; watch: off, live). */
  screen: string
  screenWidth: number
  /** Pictures of the screen that were decoded (watch) or encoded in its largest size (teach). */
  screenFrames: number
  /** The sizes of the screen that are being sent (teach). */
  screenLayers: string[]
  /** What is shown large (watch): camera, screen. */
  large: string
  muted: boolean
  /** The sizes that are being sent (teach). */
  layers: string[]
  students: number
  /** The present problem in words; empty when there is none. */
  error: string
}

declare global {
  interface Window {
    lyceum?: { state(): Diagnosis }
  }
}

const nothing: Diagnosis = {
  page: 'landing',
  room: '',
  status: 'idle',
  node: '',
  nodeUrl: '',
  why: '',
  framesDecoded: 0,
  framesEncoded: 0,
  audioLevel: 0,
  width: 0,
  height: 0,
  bitrate: 0,
  rtt: 0,
  moves: 0,
  showing: 'all',
  screen: 'off',
  screenWidth: 0,
  screenFrames: 0,
  screenLayers: [],
  large: 'camera',
  muted: false,
  layers: [],
  students: 0,
  error: '',
}

/** expose sets what window.lyceum.state() answers from now on. */
export function expose(read: () => Partial<Diagnosis>): void {
  window.lyceum = { state: () => ({ ...nothing, ...read() }) }
}
