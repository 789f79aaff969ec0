// When a media session counts as lost. Pure: told the time and what was seen, it answers a verdict.

/** After this long without a byte we ask the node whether it still lives, ms. */
export const silence = 1500
/** After this long without a byte of a class that is live, the session is lost, ms. */
export const starved = 3000
/** ICE may call a connection "disconnected" for this long, ms: a change of Wi-Fi cell often heals by itself. */
export const wobble = 2000
/** A session must have connected by then, ms. */
export const handshake = 8000
/** A step in time larger than this means that the page slept; nothing can be concluded from it, ms. */
export const slept = 2500

export type Verdict =
  | { kind: 'connecting' }
  | { kind: 'flowing' }
  /** Nothing arrives. `probe`: it is time to ask the node about the room. */
  | { kind: 'silent'; probe: boolean }
  | { kind: 'lost'; why: 'handshake' | 'connection' | 'starved' | 'unreachable' }

/** Sight is one look at the connection. `bytes` only ever grows while anything arrives. */
export interface Sight {
  now: number
  connection: RTCPeerConnectionState
  bytes: number
}

/** Watchdog follows one session. */
export class Watchdog {
  private readonly begun: number
  private readonly probeEvery: number
  private readonly patience: number
  private connected = false
  private last: number
  private bytes = 0
  private progress: number
  private wobbling: number | null = null
  private probed = -Infinity
  private live: boolean | null = null
  private liveSince = 0

  /**
   * `patience` is how long a live class may send nothing, ms. `probeEvery` is the pause between two questions to the
   * node while nothing arrives, ms.
   */
  constructor(now: number, patience = starved, probeEvery = 3000) {
    this.begun = now
    this.last = now
    this.progress = now
    this.patience = patience
    this.probeEvery = probeEvery
  }

  /** look judges one sight. */
  look(sight: Sight): Verdict {
    const { now } = sight
    if (now - this.last > slept) this.forgive(now)
    this.last = now

    if (sight.connection === 'failed' || sight.connection === 'closed') return { kind: 'lost', why: 'connection' }
    if (sight.connection === 'connected' && !this.connected) {
      this.connected = true
      this.progress = now
    }
    if (!this.connected) {
      return now - this.begun > handshake ? { kind: 'lost', why: 'handshake' } : { kind: 'connecting' }
    }
    if (sight.bytes > this.bytes) {
      this.bytes = sight.bytes
      this.progress = now
      this.wobbling = null
      this.live = null
      return { kind: 'flowing' }
    }
    if (sight.connection === 'disconnected') {
      this.wobbling ??= now
      if (now - this.wobbling > wobble) return { kind: 'lost', why: 'connection' }
    } else {
      this.wobbling = null
    }
    if (this.live === true && now - Math.max(this.progress, this.liveSince) > this.patience) {
      return { kind: 'lost', why: 'starved' }
    }
    if (now - this.progress < silence) return this.bytes > 0 ? { kind: 'flowing' } : { kind: 'silent', probe: this.due(now) }
    return { kind: 'silent', probe: this.due(now) }
  }

  /** heard takes in what the node said about the room: live, not live, or that it did not answer at all. */
  heard(now: number, room: 'live' | 'idle' | 'unreachable'): Verdict {
    if (room === 'unreachable') {
      return this.connected && now - this.progress >= silence ? { kind: 'lost', why: 'unreachable' } : { kind: 'silent', probe: false }
    }
    const live = room === 'live'
    // A class that was idle and now is live gets the whole patience from here on; its first packets are on their way.
    if (live && this.live === false) this.liveSince = now
    this.live = live
    return { kind: 'silent', probe: false }
  }

  private due(now: number): boolean {
    if (now - this.probed < this.probeEvery) return false
    this.probed = now
    return true
  }

  private forgive(now: number): void {
    this.progress = now
    if (this.wobbling !== null) this.wobbling = now
    this.liveSince = now
  }
}
