// A teacher among pretended devices and nodes: who publishes already, which device is missing, what is left open.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Refusal, Unreachable } from '../src/api'
import { DeviceError, type Fault } from '../src/media'
import { wait } from '../src/seat'
import { Teacher, type Studio } from '../src/teacher'
import type { Publishing } from '../src/whip'

/** Track is as much of a MediaStreamTrack as a teacher touches. */
class Track extends EventTarget {
  enabled = true
  stopped = 0
  constructor(readonly deviceId: string) {
    super()
  }
  getSettings() {
    return { deviceId: this.deviceId }
  }
  stop() {
    this.stopped++
  }
}

/** Room answers what a node would: who publishes, and whether the node lives. */
class Room {
  alive = true
  /** Until when somebody else's session, or our own from before a reload, holds the room. */
  occupiedUntil = 0
  failing: Partial<Record<'camera' | 'microphone' | 'screen', Fault>> = {}
  replaceFails = false
  readonly tracks: Track[] = []
  posts = 0
  open = 0
  /** Whether somebody else shares a screen. */
  screenOccupied = false
  /** The URLs of the sessions that are open, in the order of their beginning. */
  sessions: string[] = []

  private device(kind: 'camera' | 'microphone' | 'screen') {
    return async () => {
      await wait(200, new AbortController().signal)
      const fault = this.failing[kind]
      if (fault) throw new DeviceError(fault)
      const track = new Track(kind)
      this.tracks.push(track)
      return track as unknown as MediaStreamTrack
    }
  }

  readonly publish: Studio['publish'] = async (_fetch, url) => {
    this.posts++
    if (!this.alive) throw new Unreachable(url, new Error('dead'))
    if (Date.now() < this.occupiedUntil) throw new Refusal(409, 'Conflict', 'another teacher is already publishing in this room')
    if (this.screenOccupied && url.endsWith('?source=screen')) throw new Refusal(409, 'Conflict', 'a screen is shared already')
    this.open++
    this.sessions.push(url)
    let closed = false
    let signs = 0
    const session: Publishing = {
      node: 'http://a',
      connection: () => (this.alive ? 'connected' : 'disconnected'),
      look: () => Promise.resolve({ at: Date.now(), bytes: 0, signs: this.alive ? ++signs : signs, layers: [], rtt: 1 }),
      replace: () => (this.replaceFails ? Promise.reject(new Error('ended')) : Promise.resolve()),
      close: () => {
        if (!closed) {
          this.open--
          this.sessions.splice(this.sessions.indexOf(url), 1)
        }
        closed = true
      },
    }
    return Promise.resolve(session)
  }

  teacher(): Teacher {
    const fetcher = (() =>
      this.alive
        ? Promise.resolve(Response.json({ room: 'demo', title: 'Optics', live: true, home: 'a', students: 3 }))
        : Promise.reject(new TypeError('Failed to fetch'))) as typeof fetch
    return new Teacher('http://a', 'demo', 'token', {
      fetch: fetcher,
      publish: this.publish,
      camera: this.device('camera'),
      microphone: this.device('microphone'),
      screen: async () => ({ video: await this.device('screen')(), audio: null }),
      list: () => Promise.resolve({ cameras: [], microphones: [] }),
      now: () => Date.now(),
      random: () => 0.5,
      wait,
    })
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('Teacher', () => {
  beforeEach(() => {
    vi.useFakeTimers()
    vi.stubGlobal('RTCPeerConnection', class {})
    vi.stubGlobal('MediaStream', class {})
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('goes live, and leaves nothing behind', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(6000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', trouble: null, students: 3, title: 'Optics' })
    // The page is left: nothing may wait for a later moment.
    teacher.close()
    expect(room.open).toBe(0)
    expect(room.tracks.every((track) => track.stopped === 1)).toBe(true)
  })

  it('waits for its own session from before a reload without a word of another teacher', async () => {
    const room = new Room()
    room.occupiedUntil = Date.now() + 1500
    const teacher = room.teacher()
    const said = new Set<string>()
    teacher.store.subscribe(() => said.add(`${teacher.store.get().airing} ${teacher.store.get().trouble?.kind ?? ''}`))
    void teacher.goLive()
    await pass(8000)
    expect(teacher.store.get().airing).toBe('live')
    expect([...said]).toEqual(['connecting ', 'live '])
    teacher.close()
  })

  it('says that there is another teacher once that is certain, and asks no more', async () => {
    const room = new Room()
    room.occupiedUntil = Infinity
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(8000)
    expect(teacher.store.get()).toMatchObject({ airing: 'failed', trouble: { kind: 'refused', status: 409 } })
    const { posts } = room
    await pass(60_000)
    expect(room.posts).toBe(posts)
    room.occupiedUntil = 0
    void teacher.goLive()
    await pass(3000)
    expect(teacher.store.get().airing).toBe('live')
    teacher.close()
  })

  it('counts the time of a conflict anew after the node was away', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(6000)
    room.alive = false
    await pass(10_000)
    expect(teacher.store.get()).toMatchObject({ airing: 'reconnecting', trouble: { kind: 'unreachable' } })
    room.alive = true
    room.occupiedUntil = Date.now() + 2000
    teacher.hurry()
    await pass(10_000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', trouble: null, moves: 1 })
    teacher.close()
  })

  it('opens every device once, however often it is asked', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.prepare()
    void teacher.prepare()
    void teacher.goLive()
    await pass(3000)
    expect(room.tracks.map((track) => track.deviceId)).toEqual(['microphone', 'camera'])
    teacher.close()
  })

  it('gives a device back that was allowed only after the page was left', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.prepare()
    await pass(100)
    teacher.close()
    await pass(1000)
    expect(room.tracks.map((track) => track.stopped)).toEqual([1])
  })

  it('says what is wrong with each device, and tries one again', async () => {
    const room = new Room()
    room.failing = { microphone: 'busy', camera: 'denied' }
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(1000)
    expect(teacher.store.get()).toMatchObject({ airing: 'off', faults: { microphone: 'busy', camera: 'denied' } })
    room.failing = { microphone: 'busy' }
    void teacher.retry('camera')
    await pass(1000)
    expect(teacher.store.get()).toMatchObject({ faults: { microphone: 'busy' } })
    expect(teacher.store.get().faults.camera).toBeUndefined()
    teacher.close()
  })

  it('shares a screen beside the camera, until the browser ends that', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.prepare()
    await pass(1000)
    void teacher.toggleScreen()
    void teacher.toggleScreen()
    await pass(1000)
    // Before the class begins the screen is only chosen.
    expect(teacher.store.get()).toMatchObject({ sharing: 'off' })
    expect(teacher.store.get().screen).not.toBeNull()
    expect(room.open).toBe(0)
    void teacher.goLive()
    await pass(4000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', sharing: 'live' })
    expect(room.sessions).toEqual(['http://a/whip/demo', 'http://a/whip/demo?source=screen'])
    room.tracks.find((track) => track.deviceId === 'screen')!.dispatchEvent(new Event('ended'))
    expect(teacher.store.get()).toMatchObject({ airing: 'live', sharing: 'off', screen: null })
    expect(room.sessions).toEqual(['http://a/whip/demo'])
    expect(teacher.store.get().preview).not.toBeNull()
    room.failing = { screen: 'cancelled' }
    void teacher.toggleScreen()
    await pass(1000)
    expect(teacher.store.get()).toMatchObject({ screen: null, faults: {} })
    teacher.close()
  })

  it('shares and stops while the class goes on, and ends both with the class', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(4000)
    void teacher.toggleScreen()
    await pass(3000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', sharing: 'live' })
    void teacher.toggleScreen()
    expect(room.sessions).toEqual(['http://a/whip/demo'])
    void teacher.toggleScreen()
    await pass(3000)
    teacher.stop()
    expect(room.sessions).toEqual([])
    expect(teacher.store.get()).toMatchObject({ airing: 'off', sharing: 'off' })
    // It is still chosen, and goes out with the next class.
    void teacher.goLive()
    await pass(4000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', sharing: 'live' })
    teacher.close()
    expect(room.open).toBe(0)
    expect(room.tracks.every((track) => track.stopped === 1)).toBe(true)
  })

  it('brings the screen back after the node was away, where the camera is', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(4000)
    void teacher.toggleScreen()
    await pass(3000)
    room.alive = false
    await pass(10_000)
    expect(teacher.store.get()).toMatchObject({ airing: 'reconnecting', sharing: 'reconnecting' })
    room.alive = true
    teacher.hurry()
    await pass(12_000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', sharing: 'live' })
    expect(room.open).toBe(2)
    teacher.close()
  })

  it('says that another screen is shared, and lets the class go on', async () => {
    const room = new Room()
    room.screenOccupied = true
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(4000)
    void teacher.toggleScreen()
    await pass(8000)
    expect(teacher.store.get()).toMatchObject({ airing: 'live', sharing: 'off', screenTrouble: { kind: 'refused', status: 409 } })
    const { posts } = room
    await pass(30_000)
    expect(room.posts).toBe(posts)
    teacher.close()
  })

  it('ends a session that could not take the devices', async () => {
    const room = new Room()
    room.replaceFails = true
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(1500)
    expect(room.open).toBe(0)
    room.replaceFails = false
    await pass(5000)
    expect(teacher.store.get().airing).toBe('live')
    expect(room.open).toBe(1)
    teacher.close()
  })

  it('can be stopped while the browser still asks for the permission', async () => {
    const room = new Room()
    const teacher = room.teacher()
    void teacher.goLive()
    await pass(100)
    teacher.stop()
    await pass(5000)
    expect(teacher.store.get()).toMatchObject({ airing: 'off' })
    expect(room.posts).toBe(0)
    teacher.close()
  })
})
