// The teacher's screen as a publication of its own beside the camera, and its return after it was lost.

import type { Fetch } from './api'
import { pause } from './backoff'
import type { Screen } from './media'
import { refused, troubleOf, type Trouble } from './seat'
import { starved, Watchdog } from './watchdog'
import { sendingOf, type Output, type publish, type Publishing, type Sending } from './whip'

/** Display is what a Share needs from the world. */
export interface Display {
  fetch: Fetch
  publish: typeof publish
  now: () => number
  random: () => number
  /** wait resolves after ms or when the signal aborts. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export type Sharing = 'off' | 'connecting' | 'live' | 'reconnecting'

/** Shared is what a Share tells of itself. */
export interface Shared {
  sharing: Sharing
  /** The sizes of the screen that are being sent. */
  screenLayers: Sending[]
  screenFrames: number
}

/** What is told while nothing is sent. */
export const unshared: Shared = { sharing: 'off', screenLayers: [], screenFrames: 0 }

const step = 1000
/** How long another session may hold the place of the screen, ms: this teacher's own, from before a reload, is let go sooner. */
const letGo = 2500

/** Share publishes one screen from begin to end. */
export class Share {
  private readonly run = new AbortController()
  private session: Publishing | null = null
  private nap: AbortController | null = null

  /**
   * `where` is the WHIP URL of the screen at this moment, null while the class itself has no node: where the camera goes,
   * the screen follows. `tell` hears of every
   * change. `fail` hears why the screen can not be shared, after which nothing is tried any more.
   */
  constructor(
    private readonly world: Display,
    private readonly token: string,
    private readonly screen: Screen,
    private readonly where: () => string | null,
    private readonly tell: (shared: Partial<Shared>) => void,
    private readonly fail: (trouble: Trouble) => void,
  ) {}

  /** begin publishes. It is called once. */
  begin(): void {
    void this.air(this.run.signal)
  }

  /** end ends the publication at once: a page that is left runs nothing later. */
  end(): void {
    this.run.abort()
    this.session?.close()
    this.session = null
  }

  /** hurry ends a pause between two tries. */
  hurry(): void {
    this.nap?.abort()
  }

  private async air(signal: AbortSignal): Promise<void> {
    this.tell({ ...unshared, sharing: 'connecting' })
    let conflictSince: number | null = null
    for (let attempt = 0; !signal.aborted; ) {
      const url = this.where()
      if (url === null) {
        await this.world.wait(step / 4, signal)
        continue
      }
      try {
        // A screen without sound offers none: the class would wait for it.
        const media = { video: this.screen.video, ...(this.screen.audio ? { audio: this.screen.audio } : {}) }
        const session = await this.world.publish(this.world.fetch, url, this.token, media, signal, 'screen')
        if (signal.aborted) {
          session.close()
          return
        }
        conflictSince = null
        this.session = session
        try {
          await this.stay(session, signal, () => (attempt = 0))
        } finally {
          this.session = null
          session.close()
        }
      } catch (error) {
        attempt++
        if (signal.aborted) return
        const trouble = troubleOf(error)
        const conflict = trouble.kind === 'refused' && trouble.status === 409
        conflictSince = conflict ? (conflictSince ?? this.world.now()) : null
        const occupied = conflictSince !== null && this.world.now() - conflictSince > letGo
        // What a node that dies or moves the class says meanwhile is the camera's to judge; a screen only follows.
        if (occupied || trouble.kind === 'browser' || (refused(trouble) && attempt > 2)) {
          this.tell(unshared)
          this.fail(trouble)
          return
        }
      }
      if (signal.aborted) return
      this.tell({ ...unshared, sharing: 'reconnecting' })
      this.nap = new AbortController()
      await this.world.wait(pause(attempt, this.world.random), AbortSignal.any([signal, this.nap.signal]))
      this.nap = null
    }
  }

  /** stay watches over the session until it is lost. */
  private async stay(session: Publishing, signal: AbortSignal, onLive: () => void): Promise<void> {
    const dog = new Watchdog(this.world.now(), starved)
    let before: Output | null = null
    let live = false
    while (!signal.aborted) {
      await this.world.wait(step, signal)
      if (signal.aborted) return
      const output = await session.look()
      const verdict = dog.look({ now: this.world.now(), connection: session.connection(), bytes: output.signs })
      if (verdict.kind === 'lost') return
      if (verdict.kind !== 'connecting' && !live) {
        live = true
        onLive()
        this.tell({ sharing: 'live' })
      }
      if (before) this.tell({ screenLayers: sendingOf(before, output) })
      this.tell({ screenFrames: Math.max(0, ...output.layers.map((layer) => layer.framesEncoded)) })
      before = output
    }
  }
}
