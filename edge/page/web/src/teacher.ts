// The teacher's side: devices, one published session, and its return after the node dies.

import { join, roomState, Unreachable, type Fetch, type NodeRef } from './api'
import { pause } from './backoff'
import { Share, unshared, type Shared } from './display'
import {
  cameraTrack,
  faultOf,
  listDevices,
  microphoneTrack,
  onDevices,
  openScreen,
  type Devices,
  type Fault,
  type Screen,
} from './media'
import { Meter } from './meter'
import { Plan } from './plan'
import { refused, troubleOf, wait, type Trouble } from './seat'
import { Store } from './store'
import { starved, Watchdog } from './watchdog'
import { bitrate } from './whep'
import { publish, sendingOf, type Output, type Publishing, type Sending } from './whip'

/** Studio is what a teacher needs from the world; tests give it others. */
export interface Studio {
  fetch: Fetch
  publish: typeof publish
  camera: typeof cameraTrack
  microphone: typeof microphoneTrack
  screen: typeof openScreen
  list: typeof listDevices
  now: () => number
  random: () => number
  /** wait resolves after ms or when the signal aborts. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export type Source = 'camera' | 'microphone' | 'screen'
export type Airing = 'off' | 'connecting' | 'live' | 'reconnecting' | 'failed'

/** TeacherState is all that the page shows. */
export interface TeacherState extends Shared {
  /** The camera and the screen as they are sent; null while there is none. */
  preview: MediaStream | null
  screen: MediaStream | null
  devices: Devices
  camera: string
  microphone: string
  hasMicrophone: boolean
  cameraOn: boolean
  microphoneOn: boolean
  /** What is wrong with each of them; nothing is where all is well. */
  faults: Partial<Record<Source, Fault>>
  airing: Airing
  trouble: Trouble | null
  /** Why the screen can not be shared although the class goes on. */
  screenTrouble: Trouble | null
  /** When the class went live, ms of the clock that `now` reads; 0 before. */
  since: number
  node: NodeRef | null
  title: string
  students: number | null
  bitrate: number
  layers: Sending[]
  /** Pictures encoded in the largest size by this session. */
  framesEncoded: number
  rtt: number | null
  moves: number
}

const step = 1000
const pollEvery = 3000
const good = 5000
/** How long a 409 may be the teacher themselves, before a reload: the node lets a session go after a second of silence. */
const letGo = 2500

/** Teacher is one teacher in one room. */
export class Teacher {
  readonly meter = new Meter()
  readonly store = new Store<TeacherState>({
    ...unshared,
    preview: null,
    screen: null,
    devices: { cameras: [], microphones: [] },
    camera: '',
    microphone: '',
    hasMicrophone: false,
    cameraOn: true,
    microphoneOn: true,
    faults: {},
    airing: 'off',
    trouble: null,
    screenTrouble: null,
    since: 0,
    node: null,
    title: '',
    students: null,
    bitrate: 0,
    layers: [],
    framesEncoded: 0,
    rtt: null,
    moves: 0,
  })

  private readonly plan: Plan
  private readonly entry: NodeRef
  private readonly forgetDevices: () => void
  private camera: MediaStreamTrack | null = null
  private screen: Screen | null = null
  private share: Share | null = null
  private microphone: MediaStreamTrack | null = null
  private session: Publishing | null = null
  private run: AbortController | null = null
  private nap: AbortController | null = null
  private lastPoll = -Infinity
  private choosing = false
  private preparing: Promise<void> | null = null
  private closed = false
  /** Ends when the devices that were asked for so far are open or refused: two at once would leave one open unseen. */
  private devicesReady: Promise<void> = Promise.resolve()

  constructor(
    private readonly base: string,
    private readonly room: string,
    private readonly token: string,
    private readonly studio: Studio = realStudio(),
  ) {
    this.entry = { id: '', region: '', place: '', url: base }
    this.plan = new Plan(base)
    this.forgetDevices = onDevices(() => void this.inTurn(() => Promise.resolve()))
  }

  /** prepare opens camera and microphone for the preview. What is missing is said; the other one still works. */
  prepare(): Promise<void> {
    this.preparing ??= this.openBoth().finally(() => (this.preparing = null))
    return this.preparing
  }

  private async openBoth(): Promise<void> {
    await this.devicesReady
    if (!this.microphone) await this.useMicrophone(this.store.get().microphone)
    if (!this.camera) await this.useCamera(this.store.get().camera)
  }

  /** useCamera shows this camera ('' is the browser's choice). */
  useCamera(id: string): Promise<void> {
    return this.inTurn(async () => {
      // Some systems lend a camera only once, so the old one is given back before the new one is opened.
      this.camera?.stop()
      this.camera = null
      const camera = await this.open('camera', () => this.studio.camera(id))
      if (camera) {
        this.camera = camera
        camera.enabled = this.store.get().cameraOn
        this.watchEnd(camera, 'camera')
        this.store.patch({ camera: camera.getSettings().deviceId ?? id })
      }
      await this.show()
    })
  }

  /** useMicrophone takes the sound from this microphone ('' is the browser's choice). */
  useMicrophone(id: string): Promise<void> {
    return this.inTurn(async () => {
      this.microphone?.stop()
      this.microphone = null
      const microphone = await this.open('microphone', () => this.studio.microphone(id))
      if (microphone) {
        this.microphone = microphone
        microphone.enabled = this.store.get().microphoneOn
        this.watchEnd(microphone, 'microphone')
        this.store.patch({ microphone: microphone.getSettings().deviceId ?? id })
      }
      this.meter.listen(microphone)
      this.store.patch({ hasMicrophone: microphone !== null })
      await this.send({ audio: microphone })
    })
  }

  /** toggleScreen shares a screen beside the camera, or ends that. */
  async toggleScreen(): Promise<void> {
    if (this.screen) return this.stopScreen()
    // The browser's chooser is open already.
    if (this.choosing) return
    this.choosing = true
    const screen = await this.open('screen', () => this.studio.screen())
    this.choosing = false
    if (!screen) return
    this.screen = screen
    // The browser's own "stop sharing" button ends the track.
    screen.video.addEventListener('ended', () => {
      if (this.screen === screen) this.stopScreen()
    })
    this.store.patch({ screen: new MediaStream([screen.video]), screenTrouble: null })
    this.shareScreen()
  }

  /** retry opens again what could not be opened. */
  async retry(source: Source): Promise<void> {
    switch (source) {
      case 'camera':
        return this.useCamera(this.store.get().camera)
      case 'microphone':
        return this.useMicrophone(this.store.get().microphone)
      case 'screen':
        return this.screen ? undefined : this.toggleScreen()
    }
  }

  /** toggleMicrophone mutes or unmutes; the session goes on with silence. */
  toggleMicrophone(): void {
    const on = !this.store.get().microphoneOn
    if (this.microphone) this.microphone.enabled = on
    this.store.patch({ microphoneOn: on })
  }

  /** toggleCamera blackens or shows the camera; the session goes on. */
  toggleCamera(): void {
    const on = !this.store.get().cameraOn
    if (this.camera) this.camera.enabled = on
    this.store.patch({ cameraOn: on })
  }

  /** goLive begins the class, opening the devices first if that was not done. */
  async goLive(): Promise<void> {
    if (this.run) return
    const run = new AbortController()
    this.run = run
    this.store.patch({ airing: 'connecting', trouble: null, since: 0, students: null, moves: 0 })
    const empty = () => !this.camera && !this.microphone && !this.screen
    if (empty()) await this.prepare()
    if (run.signal.aborted) return
    if (empty()) {
      this.run = null
      this.store.patch({ airing: 'off' })
      return
    }
    void this.learn(run.signal)
    void this.air(run.signal).finally(() => {
      if (this.run !== run) return
      this.run = null
      this.endShare()
    })
    this.shareScreen()
  }

  /** stop ends the class. The previews stay. */
  stop(): void {
    this.endShare()
    this.run?.abort()
    this.run = null
    this.session?.close()
    this.session = null
    this.store.patch({ airing: 'off', trouble: null, since: 0, layers: [], bitrate: 0, students: null, node: null })
  }

  /** close gives everything back: the page is left. */
  close(): void {
    this.closed = true
    this.stop()
    this.forgetDevices()
    this.stopScreen()
    for (const track of [this.camera, this.microphone]) track?.stop()
    this.meter.close()
  }

  /** hurry ends a pause between two tries. */
  hurry(): void {
    this.nap?.abort()
    this.share?.hurry()
  }

  private async show(): Promise<void> {
    this.store.patch({ preview: this.camera ? new MediaStream([this.camera]) : null })
    await this.send({ video: this.camera })
  }

  /** send exchanges what the session sends. One that ends meanwhile needs it no more; the next one asks for itself. */
  private async send(media: { video?: MediaStreamTrack | null; audio?: MediaStreamTrack | null }): Promise<void> {
    try {
      await this.session?.replace(media)
    } catch {
      // The watchdog judges the session.
    }
  }

  /** inTurn opens devices one after the other, and lists them afterwards: their names are known then. */
  private inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.devicesReady.then(async () => {
      if (this.closed) return
      await work()
      try {
        this.store.patch({ devices: await this.studio.list() })
      } catch {
        // Without a list there is nothing to choose; the browser's choice stays.
      }
    })
    this.devicesReady = turn.catch(() => undefined)
    return turn
  }

  /** open opens one device; null when that failed, and then the store says why. */
  private async open<T extends MediaStreamTrack | Screen>(source: Source, get: () => Promise<T>): Promise<T | null> {
    let track: T | null = null
    let fault: Fault | null = null
    try {
      track = await get()
    } catch (error) {
      fault = faultOf(error)
    }
    if (this.closed) {
      if (track) giveBack(track)
      return null
    }
    this.blame(source, fault === 'cancelled' ? null : fault)
    return track
  }

  private blame(source: Source, fault: Fault | null): void {
    const { [source]: _, ...faults } = this.store.get().faults
    this.store.patch({ faults: fault ? { ...faults, [source]: fault } : faults })
  }

  /** shareScreen publishes the screen, if there is one and the class is on. */
  private shareScreen(): void {
    if (!this.screen || !this.run || this.share) return
    const share = new Share(
      this.studio,
      this.token,
      this.screen,
      () => (this.session ? `${this.session.node || this.base}/whip/${encodeURIComponent(this.room)}?source=screen` : null),
      (shared) => {
        if (this.share === share) this.store.patch(shared)
      },
      (screenTrouble) => {
        if (this.share === share) this.store.patch({ screenTrouble })
      },
    )
    this.share = share
    share.begin()
  }

  private endShare(): void {
    this.share?.end()
    this.share = null
    this.store.patch({ ...unshared, screenTrouble: null })
  }

  private stopScreen(): void {
    this.endShare()
    if (this.screen) giveBack(this.screen)
    this.screen = null
    this.store.patch({ screen: null })
  }

  /** watchEnd notices a device that was pulled out while it was in use. */
  private watchEnd(track: MediaStreamTrack, device: 'camera' | 'microphone'): void {
    track.addEventListener('ended', () => {
      if (track !== (device === 'camera' ? this.camera : this.microphone)) return
      if (device === 'camera') {
        this.camera = null
        void this.show()
      } else {
        this.microphone = null
        this.meter.listen(null)
        this.store.patch({ hasMicrophone: false })
      }
      this.blame(device, 'missing')
    })
  }

  /** learn asks where else this class could be published, as long as the first node can still tell. */
  private async learn(signal: AbortSignal): Promise<void> {
    try {
      const seating = await join(this.studio.fetch, this.base, this.room, this.token, [], signal)
      const all = [seating.edge, ...seating.fallbacks]
      this.plan.learn(all.find((node) => node.url === this.base) ?? this.entry, all)
    } catch {
      // Then only the node of this page is tried.
    }
  }

  private async air(signal: AbortSignal): Promise<void> {
    let aired = false
    let conflictSince: number | null = null
    while (!signal.aborted) {
      const asked = this.plan.next()
      let trouble: Trouble | null
      try {
        const url = `${asked.url}/whip/${encodeURIComponent(this.room)}`
        const media = { video: this.camera, audio: this.microphone }
        const session = await this.studio.publish(this.studio.fetch, url, this.token, media, signal)
        if (signal.aborted) {
          session.close()
          return
        }
        this.session = session
        let begun = Infinity
        try {
          // The devices may have changed while the answer travelled.
          await session.replace({ video: this.camera, audio: this.microphone })
          trouble = await this.stay(session, asked, signal, () => {
            aired = true
            begun = this.studio.now()
            this.plan.served()
          })
        } finally {
          // stop may have ended it, and another run begun since.
          if (this.session === session) this.session = null
          session.close()
        }
        conflictSince = null
        if (signal.aborted) return
        this.plan.lost(this.studio.now() - begun >= good)
        this.store.patch({ moves: this.store.get().moves + 1 })
      } catch (error) {
        if (signal.aborted) return
        trouble = troubleOf(error)
        const no = refused(trouble)
        this.plan.failed(no)
        // 409 is another teacher, unless it is this one before a reload: that session is let go once it is quiet.
        const conflict = trouble.kind === 'refused' && trouble.status === 409
        conflictSince = conflict ? (conflictSince ?? this.studio.now()) : null
        const occupied = conflictSince !== null && this.studio.now() - conflictSince > letGo
        if (trouble.kind === 'browser' || occupied || (no && !conflict && (!aired || this.plan.unanimous))) {
          this.store.patch({ airing: 'failed', trouble, layers: [], bitrate: 0 })
          return
        }
        // Until it is certain, "another teacher" would only frighten the one who is alone.
        if (conflict) trouble = null
      }
      this.store.patch({ airing: aired ? 'reconnecting' : 'connecting', trouble, layers: [], bitrate: 0, rtt: null })
      const nap = new AbortController()
      const wake = () => nap.abort()
      signal.addEventListener('abort', wake)
      this.nap = nap
      await this.studio.wait(pause(this.plan.attempt, this.studio.random), nap.signal)
      signal.removeEventListener('abort', wake)
      this.nap = null
    }
  }

  /** stay watches over the session until it is lost. */
  private async stay(session: Publishing, asked: NodeRef, signal: AbortSignal, onLive: () => void): Promise<Trouble> {
    const base = session.node || asked.url
    // A teacher's silence is everybody's, so the node is asked twice as often as a student asks.
    const dog = new Watchdog(this.studio.now(), starved, step * 1.5)
    let before: Output | null = null
    let live = false
    while (!signal.aborted) {
      await this.studio.wait(step, signal)
      if (signal.aborted) break
      const output = await session.look()
      let verdict = dog.look({ now: this.studio.now(), connection: session.connection(), bytes: output.signs })
      // A node that answers questions but not our packets is left to ICE, which judges that better than we do.
      if (verdict.kind === 'silent' && verdict.probe) verdict = dog.heard(this.studio.now(), await this.poll(base, signal))
      if (verdict.kind === 'lost') return { kind: verdict.why === 'unreachable' ? 'unreachable' : 'media' }
      if (verdict.kind !== 'connecting') {
        if (!live) {
          live = true
          onLive()
          const { since } = this.store.get()
          this.store.patch({ airing: 'live', trouble: null, since: since || this.studio.now(), node: this.nodeAt(base) })
        }
        if (this.studio.now() - this.lastPoll >= pollEvery) void this.poll(base, signal)
      }
      if (before) this.store.patch({ bitrate: bitrate(before, output), layers: sendingOf(before, output), rtt: output.rtt })
      this.store.patch({ framesEncoded: Math.max(0, ...output.layers.map((layer) => layer.framesEncoded)) })
      before = output
    }
    return { kind: 'left' }
  }

  private async poll(base: string, signal: AbortSignal): Promise<'idle' | 'unreachable'> {
    this.lastPoll = this.studio.now()
    try {
      const room = await roomState(this.studio.fetch, base, this.room, this.token, signal)
      const known = this.store.get().node
      const home = this.plan.known.find((node) => node.id === room.home) ?? { ...this.nodeAt(base), id: room.home }
      const node = room.home ? home : known
      const same = known?.id === node?.id && known?.url === node?.url
      this.store.patch({ students: room.students, title: room.title, ...(same ? {} : { node }) })
      return 'idle'
    } catch (error) {
      return error instanceof Unreachable ? 'unreachable' : 'idle'
    }
  }

  private nodeAt(url: string): NodeRef {
    return this.plan.known.find((node) => node.url === url) ?? { id: '', region: '', place: '', url }
  }
}

function giveBack(source: MediaStreamTrack | Screen): void {
  for (const track of 'video' in source ? [source.video, source.audio] : [source]) track?.stop()
}

/** realStudio is what a teacher uses in a browser. */
export function realStudio(): Studio {
  return {
    fetch: (input, init) => globalThis.fetch(input, init),
    publish,
    camera: cameraTrack,
    microphone: microphoneTrack,
    screen: openScreen,
    list: listDevices,
    now: () => performance.now(),
    random: Math.random,
    wait,
  }
}
