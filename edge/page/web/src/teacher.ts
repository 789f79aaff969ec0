// The teacher's side: devices, one published session, and its return after the node dies.

import { join, roomState, Unreachable, type NodeRef } from './api'
import { pause } from './backoff'
import {
  cameraTrack,
  faultOf,
  listDevices,
  microphoneTrack,
  onDevices,
  screenTrack,
  type Devices,
  type Fault,
} from './media'
import { Meter } from './meter'
import { Plan } from './plan'
import { refused, troubleOf, wait, type Trouble } from './seat'
import { Store } from './store'
import { starved, Watchdog } from './watchdog'
import { bitrate } from './whep'
import { publish, type Output, type Publishing } from './whip'

export type Showing = 'nothing' | 'camera' | 'screen'
export type Airing = 'off' | 'connecting' | 'live' | 'reconnecting' | 'failed'

/** Sending tells about one size of the picture as it leaves now. */
export interface Sending {
  rid: string
  width: number
  height: number
  framesPerSecond: number
  bitrate: number
}

/** TeacherState is all that the page shows. */
export interface TeacherState {
  showing: Showing
  preview: MediaStream | null
  devices: Devices
  camera: string
  microphone: string
  hasMicrophone: boolean
  cameraOn: boolean
  microphoneOn: boolean
  fault: { device: 'camera' | 'microphone' | 'screen'; fault: Fault } | null
  airing: Airing
  trouble: Trouble | null
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
    showing: 'nothing',
    preview: null,
    devices: { cameras: [], microphones: [] },
    camera: '',
    microphone: '',
    hasMicrophone: false,
    cameraOn: true,
    microphoneOn: true,
    fault: null,
    airing: 'off',
    trouble: null,
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
  private screen: MediaStreamTrack | null = null
  private microphone: MediaStreamTrack | null = null
  private session: Publishing | null = null
  private run: AbortController | null = null
  private nap: AbortController | null = null
  private lastPoll = -Infinity

  constructor(
    private readonly base: string,
    private readonly room: string,
    private readonly token: string,
  ) {
    this.entry = { id: '', region: '', place: '', url: base }
    this.plan = new Plan(base)
    this.forgetDevices = onDevices(() => void this.refreshDevices())
  }

  /** prepare opens camera and microphone for the preview. What is missing is said; the other one still works. */
  async prepare(): Promise<void> {
    this.store.patch({ fault: null })
    await this.useMicrophone(this.store.get().microphone)
    await this.useCamera(this.store.get().camera)
  }

  /** useCamera shows this camera ('' is the browser's choice) instead of the present picture. */
  async useCamera(id: string): Promise<void> {
    try {
      // Some systems lend a camera only once, so the old one is given back before the new one is opened.
      this.camera?.stop()
      this.camera = await cameraTrack(id)
      this.camera.enabled = this.store.get().cameraOn
      this.watchEnd(this.camera, 'camera')
      this.store.patch({ camera: this.camera.getSettings().deviceId ?? id, fault: null })
      this.stopScreen()
      await this.show()
    } catch (error) {
      this.camera = null
      this.store.patch({ fault: { device: 'camera', fault: faultOf(error) } })
      await this.show()
    }
    await this.refreshDevices()
  }

  /** useMicrophone takes the sound from this microphone ('' is the browser's choice). */
  async useMicrophone(id: string): Promise<void> {
    try {
      this.microphone?.stop()
      this.microphone = await microphoneTrack(id)
      this.microphone.enabled = this.store.get().microphoneOn
      this.watchEnd(this.microphone, 'microphone')
      this.store.patch({ microphone: this.microphone.getSettings().deviceId ?? id, fault: null })
    } catch (error) {
      this.microphone = null
      this.store.patch({ fault: { device: 'microphone', fault: faultOf(error) } })
    }
    this.meter.listen(this.microphone)
    this.store.patch({ hasMicrophone: this.microphone !== null })
    await this.session?.replace({ audio: this.microphone })
    await this.refreshDevices()
  }

  /** toggleScreen shows the screen instead of the camera, or the camera again. */
  async toggleScreen(): Promise<void> {
    if (this.screen) {
      this.stopScreen()
      await this.show()
      return
    }
    try {
      const screen = await screenTrack()
      this.screen = screen
      // The browser's own "stop sharing" button ends the track.
      screen.addEventListener('ended', () => {
        if (this.screen !== screen) return
        this.screen = null
        void this.show()
      })
      this.store.patch({ fault: null })
      await this.show()
    } catch (error) {
      const fault = faultOf(error)
      if (fault !== 'cancelled') this.store.patch({ fault: { device: 'screen', fault } })
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
    if (!this.picture() && !this.microphone) await this.prepare()
    if (!this.picture() && !this.microphone) {
      this.run = null
      this.store.patch({ airing: 'off' })
      return
    }
    if (run.signal.aborted) return
    void this.learn(run.signal)
    void this.air(run.signal).finally(() => {
      if (this.run === run) this.run = null
    })
  }

  /** stop ends the class. The preview stays. */
  stop(): void {
    this.run?.abort()
    this.run = null
    this.session?.close()
    this.session = null
    this.store.patch({ airing: 'off', trouble: null, since: 0, layers: [], bitrate: 0, students: null, node: null })
  }

  /** close gives everything back: the page is left. */
  close(): void {
    this.stop()
    this.forgetDevices()
    for (const track of [this.camera, this.screen, this.microphone]) track?.stop()
    this.meter.close()
  }

  /** hurry ends a pause between two tries. */
  hurry(): void {
    this.nap?.abort()
  }

  private picture(): MediaStreamTrack | null {
    return this.screen ?? this.camera
  }

  private async show(): Promise<void> {
    const track = this.picture()
    this.store.patch({
      showing: this.screen ? 'screen' : this.camera ? 'camera' : 'nothing',
      preview: track ? new MediaStream([track]) : null,
    })
    await this.session?.replace({ video: track })
  }

  private stopScreen(): void {
    const screen = this.screen
    this.screen = null
    screen?.stop()
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
      this.store.patch({ fault: { device, fault: 'missing' } })
    })
  }

  private async refreshDevices(): Promise<void> {
    try {
      this.store.patch({ devices: await listDevices() })
    } catch {
      // Without a list there is nothing to choose; the browser's choice stays.
    }
  }

  /** learn asks where else this class could be published, as long as the first node can still tell. */
  private async learn(signal: AbortSignal): Promise<void> {
    try {
      const seating = await join(fetch, this.base, this.room, this.token, [], signal)
      const all = [seating.edge, ...seating.fallbacks]
      this.plan.learn(all.find((node) => node.url === this.base) ?? this.entry, all)
    } catch {
      // Then only the node of this page is tried.
    }
  }

  private async air(signal: AbortSignal): Promise<void> {
    let aired = false
    let conflictSince = 0
    while (!signal.aborted) {
      const asked = this.plan.next()
      let trouble: Trouble
      try {
        const url = `${asked.url}/whip/${encodeURIComponent(this.room)}`
        const media = { video: this.picture(), audio: this.microphone }
        const session = await publish(fetch, url, this.token, media, signal)
        if (signal.aborted) {
          session.close()
          return
        }
        this.session = session
        // The devices may have changed while the answer travelled.
        await session.replace({ video: this.picture(), audio: this.microphone })
        const begun = performance.now()
        trouble = await this.stay(session, asked, signal, () => {
          aired = true
          conflictSince = 0
          this.plan.served()
        })
        this.session = null
        session.close()
        if (signal.aborted) return
        this.plan.lost(performance.now() - begun >= good)
        this.store.patch({ moves: this.store.get().moves + 1 })
      } catch (error) {
        if (signal.aborted) return
        trouble = troubleOf(error)
        const no = refused(trouble)
        this.plan.failed(no)
        // 409 is another teacher, unless it is this one before a reload: that session is let go once it is quiet.
        const conflict = trouble.kind === 'refused' && trouble.status === 409
        if (conflict && conflictSince === 0) conflictSince = performance.now()
        const occupied = conflict && performance.now() - conflictSince > letGo
        if (trouble.kind === 'browser' || occupied || (no && !conflict && (!aired || this.plan.unanimous))) {
          this.store.patch({ airing: 'failed', trouble, layers: [], bitrate: 0 })
          return
        }
      }
      this.store.patch({ airing: aired ? 'reconnecting' : 'connecting', trouble, layers: [], bitrate: 0 })
      const nap = new AbortController()
      const wake = () => nap.abort()
      signal.addEventListener('abort', wake)
      this.nap = nap
      await wait(pause(this.plan.attempt), nap.signal)
      signal.removeEventListener('abort', wake)
      this.nap = null
    }
  }

  /** stay watches over the session until it is lost. */
  private async stay(session: Publishing, asked: NodeRef, signal: AbortSignal, onLive: () => void): Promise<Trouble> {
    const base = session.node || asked.url
    // A teacher's silence is everybody's, so the node is asked twice as often as a student asks.
    const dog = new Watchdog(performance.now(), starved, step * 1.5)
    let before: Output | null = null
    let live = false
    while (!signal.aborted) {
      await wait(step, signal)
      if (signal.aborted) break
      const output = await session.look()
      let verdict = dog.look({ now: performance.now(), connection: session.connection(), bytes: output.signs })
      // A node that answers questions but not our packets is left to ICE, which judges that better than we do.
      if (verdict.kind === 'silent' && verdict.probe) verdict = dog.heard(performance.now(), await this.poll(base, signal))
      if (verdict.kind === 'lost') return { kind: verdict.why === 'unreachable' ? 'unreachable' : 'media' }
      if (verdict.kind !== 'connecting') {
        if (!live) {
          live = true
          onLive()
          const { since } = this.store.get()
          this.store.patch({ airing: 'live', trouble: null, since: since || performance.now(), node: this.nodeAt(base) })
        }
        if (performance.now() - this.lastPoll >= pollEvery) void this.poll(base, signal)
      }
      if (before) this.store.patch({ bitrate: bitrate(before, output), layers: sendingOf(before, output), rtt: output.rtt })
      this.store.patch({ framesEncoded: Math.max(0, ...output.layers.map((layer) => layer.framesEncoded)) })
      before = output
    }
    return { kind: 'left' }
  }

  private async poll(base: string, signal: AbortSignal): Promise<'idle' | 'unreachable'> {
    this.lastPoll = performance.now()
    try {
      const room = await roomState(fetch, base, this.room, this.token, signal)
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

/** sendingOf is what each size of the picture sent between two looks; sizes that sent nothing are left out. */
export function sendingOf(before: Output, after: Output): Sending[] {
  return after.layers
    .map((layer) => {
      const old = before.layers.find((other) => other.rid === layer.rid)
      return {
        rid: layer.rid,
        width: layer.width,
        height: layer.height,
        framesPerSecond: layer.framesPerSecond,
        bitrate: bitrate({ at: before.at, bytes: old?.bytes ?? 0 }, { at: after.at, bytes: layer.bytes }),
      }
    })
    .filter((layer) => layer.bitrate > 0)
}
