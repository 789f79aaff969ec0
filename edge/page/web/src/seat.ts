// A student's seat: joins, watches, and finds another node by itself when the present one dies.

import { join, originOf, Refusal, roomState, Unreachable, type Fetch, type NodeRef, type Seating } from './api'
import { pause } from './backoff'
import { Plan } from './plan'
import { Sharing } from './sharing'
import { Store } from './store'
import { starved, Watchdog, type Verdict } from './watchdog'
import { bitrate, view, type Choice, type Picture, type Showing, type Shown, type Viewing } from './whep'

export type Phase = 'idle' | 'joining' | 'waiting' | 'live' | 'reconnecting' | 'ended'

/** Trouble says why we are not watching, in a form that strings.ts turns into words. */
export type Trouble =
  | { kind: 'refused'; status: number; detail: string }
  | { kind: 'unreachable' }
  | { kind: 'media' }
  | { kind: 'starved' }
  | { kind: 'browser'; detail: string }
  | { kind: 'left' }

/** SeatState is all that the page shows. */
export interface SeatState {
  phase: Phase
  /** Whether the class was seen: waiting is a pause from then on. */
  seen: boolean
  /** The node that serves, or served last. */
  node: NodeRef | null
  /** Why this node, in the mesh's words; empty when we chose it ourselves because the mesh named a dead one. */
  why: string
  title: string
  /** The camera and the microphone. */
  stream: MediaStream | null
  /** The screen and its sound: there in every session, to be shown while the teacher shares one. */
  screen: MediaStream | null
  sharing: boolean
  picture: Picture | null
  bitrate: number
  /** What we want of the picture, in this session and in those that follow. */
  choice: Choice
  /** What the node shows us, as far as we asked it. */
  showing: Showing
  trouble: Trouble | null
  /** How often the seat had to move since the page was opened. */
  moves: number
}

/** Surroundings are what a seat needs from the world; tests give it others. */
export interface Surroundings {
  fetch: Fetch
  view: typeof view
  now: () => number
  random: () => number
  /** wait resolves after ms or when the signal aborts. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>
}

/** How often the connection is looked at, ms. */
const step = 500
/** A picture that stands still for this long while sound goes on has a reason that the node knows, ms. */
const still = 1500
/** And it is asked again after this long, ms. */
const again = 3000
/** A session that lasted this long was a good one; its node deserves the first try after a loss, ms. */
const good = 5000
/** A node that failed is believed dead for this long even if another node still recommends it, ms. */
const shun = 15_000
/** How long a session that takes the place of another may show nothing before it does so all the same, ms. */
const overlap = 3000
/** How often it is looked at meanwhile, ms. */
const glance = 100
/** The longest that we wait for a class that claims to be live and sends nothing, ms. */
const longestPatience = 30_000

/** What is seen without a session. */
const nothing = { stream: null, screen: null, sharing: false, picture: null, bitrate: 0 }

/** Seat is one student in one room. start and leave may be called in turns. */
export class Seat {
  readonly store = new Store<SeatState>({
    phase: 'idle',
    seen: false,
    node: null,
    why: '',
    title: '',
    ...nothing,
    choice: 'auto',
    showing: 'all',
    trouble: null,
    moves: 0,
  })

  private readonly plan: Plan
  private readonly shunned = new Map<string, { id: string; at: number }>()
  private run: AbortController | null = null
  private nap: AbortController | null = null
  private viewing: Viewing | null = null
  /** The session that its node wants to end; it is shown until the next one shows something. */
  private old: Viewing | null = null
  private sharing = new Sharing()
  private starvedInARow = 0
  private sat = false

  constructor(
    private readonly base: string,
    private readonly room: string,
    private readonly token: string,
    private readonly world: Surroundings,
  ) {
    this.plan = new Plan(base)
  }

  /** start begins to watch; it does nothing while we watch. */
  start(): void {
    if (this.run) return
    const run = new AbortController()
    this.run = run
    this.store.patch({ phase: 'joining', trouble: null })
    void this.title(run.signal)
    void this.watch(run.signal).finally(() => {
      if (this.run === run) this.run = null
    })
  }

  /** watching tells whether we watch or try to. */
  get watching(): boolean {
    return this.run !== null
  }

  /** leave ends watching for good. The session is ended at once: a page that is left runs nothing later. */
  leave(): void {
    this.run?.abort()
    this.run = null
    this.viewing?.close()
    this.viewing = null
    this.part()
    this.store.patch({ phase: 'ended', trouble: { kind: 'left' }, ...nothing })
  }

  /** choose says what we want of the picture. */
  choose(choice: Choice): void {
    this.store.patch({ choice })
    if (this.viewing && this.run) void this.learn(this.viewing.choose(choice, this.run.signal))
  }

  /** hurry ends a pause between two tries: the network came back or the page is looked at again. */
  hurry(): void {
    this.nap?.abort()
  }

  private async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const asked = this.plan.next()
      let trouble: Trouble | 'moved'
      try {
        const { viewing, node, why } = await this.sit(asked, signal)
        if (this.old) await this.shows(viewing, this.old, signal)
        if (signal.aborted) {
          viewing.close()
          return
        }
        this.plan.served(node)
        this.sat = true
        this.store.patch({ node, why, ...nothing, stream: viewing.stream, screen: viewing.screen, showing: 'all' })
        this.part()
        this.sharing = new Sharing()
        const { choice } = this.store.get()
        if (choice !== 'auto') void this.learn(viewing.choose(choice, signal))
        let begun = Infinity
        this.viewing = viewing
        try {
          trouble = await this.stay(viewing, node, signal, () => (begun = this.world.now()))
          if (trouble === 'moved' && this.viewing === viewing) {
            this.viewing = null
            this.old = viewing
          }
        } finally {
          if (this.viewing === viewing) {
            this.viewing = null
            viewing.close()
          }
        }
        if (signal.aborted) return
        if (trouble === 'moved') {
          // The node that sends us away knows best where to.
          this.plan.lost(true)
          this.store.patch({ moves: this.store.get().moves + 1 })
          continue
        }
        const lasted = this.world.now() - begun >= good
        const gone = trouble.kind === 'unreachable'
        if (!lasted || gone) this.avoid(node)
        // A node that did not even answer our question was just tried; asking it again would only cost its deadline.
        this.plan.lost(lasted && !gone)
        this.store.patch({ moves: this.store.get().moves + 1 })
      } catch (error) {
        if (signal.aborted) return
        trouble = troubleOf(error)
        if (trouble.kind === 'unreachable') this.avoid(asked)
        const no = refused(trouble)
        this.plan.failed(no)
        // Somebody who sat already may meet one node that knows less than the others; all in a row are believed.
        if (trouble.kind === 'browser' || (no && (!this.sat || this.plan.unanimous))) {
          this.part()
          this.store.patch({ phase: 'ended', trouble, ...nothing })
          return
        }
      }
      if (this.old?.connection() !== 'connected') this.store.patch({ phase: this.sat ? 'reconnecting' : 'joining', trouble, bitrate: 0 })
      await this.sleep(pause(this.plan.attempt, this.world.random), signal)
    }
  }

  /** shows waits until a session shows something, or until the old one does not any more, but not for long. */
  private async shows(viewing: Viewing, old: Viewing, signal: AbortSignal): Promise<void> {
    for (const end = this.world.now() + overlap; !signal.aborted && this.world.now() < end; ) {
      if ((await viewing.look()).bytes > 0 || old.connection() !== 'connected') return
      await this.world.wait(glance, signal)
    }
  }

  /** part ends the session that another one takes the place of. */
  private part(): void {
    this.old?.close()
    this.old = null
  }

  /** sit asks one node for a seat and opens the session where it says. */
  private async sit(asked: NodeRef, signal: AbortSignal): Promise<{ viewing: Viewing; node: NodeRef; why: string }> {
    const { fetch, view } = this.world
    // The node that we ask is not avoided: it answers, and in a mesh of one there is no other.
    const avoid = [...this.shunned].filter(([url, { id }]) => url !== asked.url && id !== '' && this.mistrusts(url))
    const seating = await join(fetch, asked.url, this.room, this.token, avoid.map(([, { id }]) => id), signal)
    this.plan.learn(seating.edge, seating.fallbacks)
    if (this.mistrusts(seating.edge.url) && seating.edge.url !== asked.url) {
      // Named all the same, by a server that does not know `avoid`. The node that answered us is alive: watch there.
      const viewing = await view(fetch, `${asked.url}/whep/${encodeURIComponent(this.room)}`, this.token, signal)
      return { viewing, node: this.nodeAt(viewing.node, asked), why: '' }
    }
    try {
      const viewing = await view(fetch, seating.whep, right(seating, this.token), signal)
      return { viewing, node: this.nodeAt(viewing.node, seating.edge), why: seating.why }
    } catch (error) {
      const full = error instanceof Refusal && [429, 503].includes(error.status)
      // The mesh learns some seconds later than we do that a node is gone, full or about to rest.
      if (full || error instanceof Unreachable) this.avoid(seating.edge)
      // A seat that was promised and then refused (a ticket that was spent or came late) is a reason to ask again.
      throw error instanceof Refusal && unlikely.includes(error.status) ? new Promised(error) : error
    }
  }

  /** stay watches over the session until it is lost. */
  private async stay(viewing: Viewing, node: NodeRef, signal: AbortSignal, onConnected: () => void): Promise<Trouble | 'moved'> {
    const { now } = this.world
    const patience = Math.min(longestPatience, starved * 2 ** this.starvedInARow)
    const dog = new Watchdog(now(), patience)
    let before: Picture | null = null
    let [frames, moved, asked] = [0, now(), -Infinity]
    let verdict: Verdict = { kind: 'connecting' }
    let connected = false
    while (!signal.aborted) {
      await this.world.wait(step, signal)
      if (signal.aborted) break
      if (connected && viewing.moving()) return 'moved'
      const picture = await viewing.look()
      verdict = dog.look({ now: now(), connection: viewing.connection(), bytes: picture.bytes })
      if (verdict.kind === 'silent' && verdict.probe) verdict = dog.heard(now(), await this.ask(node, signal))
      if (verdict.kind === 'lost') break
      if (verdict.kind === 'flowing') {
        this.starvedInARow = 0
        this.store.patch({ seen: true })
      }
      if (verdict.kind !== 'connecting') {
        if (!connected) onConnected()
        connected = true
        this.store.patch({ phase: verdict.kind === 'flowing' ? 'live' : 'waiting', trouble: null })
      }
      if (picture.framesDecoded !== frames) {
        ;[frames, moved] = [picture.framesDecoded, now()]
        if (this.store.get().showing === 'audio-only') this.store.patch({ showing: 'less' })
      } else if (verdict.kind === 'flowing' && now() - moved > still && now() - asked > again) {
        asked = now()
        void this.learn(viewing.shown(signal))
      }
      if (this.sharing.look(now(), picture.screen.framesDecoded)) void this.learn(viewing.shown(signal))
      // The rate is the mean of the last two seconds, so that the number can be read.
      if (!before || picture.at - before.at >= 2000) {
        this.store.patch({ bitrate: before ? bitrate(before, picture) : 0 })
        before = picture
      }
      this.store.patch({ picture, sharing: this.sharing.on })
    }
    if (verdict.kind !== 'lost') return { kind: 'left' }
    switch (verdict.why) {
      case 'starved':
        this.starvedInARow++
        return { kind: 'starved' }
      case 'unreachable':
        return { kind: 'unreachable' }
      default:
        return { kind: 'media' }
    }
  }

  private async ask(node: NodeRef, signal: AbortSignal): Promise<'live' | 'idle' | 'unreachable'> {
    try {
      const room = await roomState(this.world.fetch, node.url, this.room, this.token, signal)
      if (room.title) this.store.patch({ title: room.title })
      return room.live ? 'live' : 'idle'
    } catch (error) {
      return error instanceof Unreachable ? 'unreachable' : 'idle'
    }
  }

  /** learn takes in what the node shows us. An older node does not say. */
  private async learn(answer: Promise<Shown>): Promise<void> {
    const { sharing } = this
    try {
      const { picture, screen } = await answer
      sharing.heard(screen)
      this.store.patch({ showing: picture, sharing: this.sharing.on })
    } catch {
      // The picture itself shows whether anything is wrong.
    }
  }

  private async title(signal: AbortSignal): Promise<void> {
    try {
      const room = await roomState(this.world.fetch, this.base, this.room, this.token, signal)
      this.store.patch({ title: room.title })
    } catch {
      // The title is an ornament; whatever is wrong the join will say.
    }
  }

  /** avoid remembers that this node failed us: the mesh takes some seconds to notice a death that we have seen. */
  private avoid(node: NodeRef): void {
    const id = node.id || (this.shunned.get(node.url)?.id ?? '')
    this.shunned.set(node.url, { id, at: this.world.now() })
  }

  private mistrusts(url: string): boolean {
    return this.world.now() - (this.shunned.get(url)?.at ?? -Infinity) < shun
  }

  private nodeAt(url: string, guess: NodeRef): NodeRef {
    if (!url || url === guess.url) return guess
    const known = this.plan.known.find((node) => originOf(node.url) === url)
    return known ?? { id: '', region: '', place: '', url }
  }

  private async sleep(ms: number, signal: AbortSignal): Promise<void> {
    const nap = new AbortController()
    const wake = () => nap.abort()
    signal.addEventListener('abort', wake)
    this.nap = nap
    await this.world.wait(ms, nap.signal)
    signal.removeEventListener('abort', wake)
    this.nap = null
  }
}

/** Promised wraps a refusal of a seat that another answer had promised. */
class Promised extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.message)
  }
}

/** What a node cannot mean that was just named as our place. */
const unlikely = [401, 403, 404, 409, 410]

/** right is the bearer token for the media session: none when the URL carries its ticket. */
function right(seating: Seating, token: string): string {
  if (!seating.ticket) return token
  return seating.whep.includes(seating.ticket) ? '' : seating.ticket
}

/** refused tells a no that will not change by asking again from one that may: a full or leaving node, a busy room. */
export function refused(trouble: Trouble): boolean {
  return trouble.kind === 'refused' && [400, 401, 403, 404, 410].includes(trouble.status)
}

/** troubleOf sorts what was thrown. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof Promised) return { kind: 'media' }
  if (error instanceof Refusal) return { kind: 'refused', status: error.status, detail: error.message }
  if (error instanceof Unreachable) return { kind: 'unreachable' }
  if (typeof RTCPeerConnection === 'undefined') return { kind: 'browser', detail: '' }
  return { kind: 'media' }
}

/** realWorld is what a seat uses in a browser. */
export function realWorld(): Surroundings {
  return {
    fetch: (input, init) => globalThis.fetch(input, init),
    view,
    now: () => performance.now(),
    random: Math.random,
    wait,
  }
}

/** wait resolves after ms or when the signal aborts. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
