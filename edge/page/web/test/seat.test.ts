// A seat in a mesh of pretended nodes: who answers, who died, what arrives.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Refusal, type NodeRef } from '../src/api'
import { Seat, wait, type Surroundings } from '../src/seat'
import type { Showing, Viewing } from '../src/whep'

const node = (id: string): NodeRef => ({ id, region: `${id}-region`, place: '', url: `http://${id}` })

/** Mesh answers what nodes would: a set of names that are alive, and whether a class is live. */
class Mesh {
  alive = new Set(['a', 'b', 'c'])
  live = true
  /** Nodes whose media does not arrive although they answer. */
  mute = new Set<string>()
  /** Nodes that answer but whose media never connects: a firewall between them and us. */
  walled = new Set<string>()
  /** The node that joins are sent to, until the mesh notices its death. */
  best = 'a'
  /** Whether joins respect the nodes that a student avoids. */
  heeds = false
  refuse: { status: number; title: string; detail: string } | null = null
  /** Nodes that have no seat left although joins still name them. */
  full = new Set<string>()
  readonly asked: string[] = []
  readonly opened: string[] = []
  closed = 0

  readonly fetch = ((input: string, init?: RequestInit) => {
    const url = new URL(input)
    this.asked.push(`${init?.method ?? 'GET'} ${url.host}${url.pathname}`)
    if (!this.alive.has(url.host)) return Promise.reject(new TypeError('Failed to fetch'))
    if (this.refuse) return Promise.resolve(Response.json(this.refuse, { status: this.refuse.status }))
    if (init?.method !== 'POST') return Promise.resolve(Response.json({ room: 'demo', title: 'Optics', live: this.live, home: 'a', students: 1 }))
    const avoid: string[] = init.body ? (JSON.parse(String(init.body)) as { avoid: string[] }).avoid : []
    const best = (this.heeds && [this.best, 'a', 'b', 'c'].find((id) => !avoid.includes(id))) || this.best
    const others = ['a', 'b', 'c'].filter((id) => id !== best)
    return Promise.resolve(
      Response.json({
        edge: node(best),
        fallbacks: others.map(node),
        ticket: 'T',
        whep: `http://${best}/whep/demo/ticket/T`,
        why: `${best} is nearest`,
      }),
    )
  }) as typeof fetch

  /** What the nodes show, how often they were asked, and what was chosen. */
  picture: Showing = 'all'
  /** Whether a screen is shared, and whether it moves. */
  screen: 'off' | 'still' | 'moving' = 'off'
  lookedAt = 0
  readonly chosen: string[] = []
  /** Nodes that want their students to watch elsewhere. */
  readonly drained = new Set<string>()
  /** How long a new session shows nothing, ms. */
  delay = 0
  /** Which sessions are open, in the order of their beginning. */
  readonly open: string[] = []

  readonly view = (_fetch: unknown, url: string, token: string): Promise<Viewing> => {
    const { host, pathname } = new URL(url)
    this.opened.push(`${host}${pathname} ${token}`)
    if (!this.alive.has(host)) return this.fetch(url, { method: 'POST' }).then(() => Promise.reject(new Error('unreachable')))
    if (this.full.has(host)) return Promise.reject(new Refusal(503, 'Full', 'This node is full.'))
    let bytes = 0
    let frames = 0
    const begun = Date.now()
    this.open.push(host)
    let screenFrames = 0
    return Promise.resolve({
      stream: {} as MediaStream,
      screen: {} as MediaStream,
      node: `http://${host}`,
      connection: () => (this.walled.has(host) ? 'connecting' : this.alive.has(host) ? 'connected' : 'disconnected') as RTCPeerConnectionState,
      moving: () => this.drained.has(host),
      look: () => {
        if (this.alive.has(host) && this.live && !this.mute.has(host) && Date.now() - begun >= this.delay) bytes += 1000
        if (bytes > 0 && this.picture === 'all') frames += 15
        const zero = { framesDecoded: frames, framesPerSecond: 0, width: 0, height: 0, audioLevel: 0, rtt: 0, packetsLost: 0, packetsReceived: 0 }
        if (this.screen === 'moving') screenFrames += 5
        const screen = { framesDecoded: screenFrames, width: 1920, height: 1080 }
        return Promise.resolve({ ...zero, at: Date.now(), bytes, screen })
      },
      shown: () => {
        this.lookedAt++
        return Promise.resolve({ picture: this.picture, screen: this.screen !== 'off' })
      },
      choose: (choice) => {
        this.chosen.push(`${host} ${choice}`)
        return Promise.resolve({ picture: 'as wished', screen: this.screen !== 'off' })
      },
      close: () => {
        this.open.splice(this.open.indexOf(host), 1)
        this.closed++
      },
    })
  }

  seat(base = 'http://a'): Seat {
    const world: Surroundings = { fetch: this.fetch, view: this.view, now: () => Date.now(), random: () => 0.5, wait }
    return new Seat(base, 'demo', 'token', world)
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

describe('Seat', () => {
  beforeEach(() => {
    vi.useFakeTimers()
    // The seat asks whether the browser can do WebRTC at all before it blames the network.
    vi.stubGlobal('RTCPeerConnection', class {})
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('shows a screen from its first picture on, also while it stands still, until the node says that it has ended', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(3000)
    expect(seat.store.get().sharing).toBe(false)
    mesh.screen = 'moving'
    await pass(1000)
    expect(seat.store.get().sharing).toBe(true)
    expect(mesh.lookedAt).toBe(0)
    mesh.screen = 'still'
    await pass(10_000)
    expect(seat.store.get().sharing).toBe(true)
    expect(mesh.lookedAt).toBeGreaterThan(1)
    expect(mesh.lookedAt).toBeLessThan(6)
    mesh.screen = 'off'
    await pass(3500)
    expect(seat.store.get()).toMatchObject({ sharing: false, phase: 'live' })
    const { lookedAt } = mesh
    await pass(10_000)
    expect(mesh.lookedAt).toBe(lookedAt)
    mesh.screen = 'moving'
    await pass(1000)
    expect(seat.store.get().sharing).toBe(true)
    seat.leave()
    expect(seat.store.get()).toMatchObject({ sharing: false, screen: null })
  })

  it('joins, watches, and says who serves and why', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(3000)
    expect(seat.store.get()).toMatchObject({ phase: 'live', title: 'Optics', why: 'a is nearest', trouble: null, moves: 0 })
    expect(seat.store.get().node?.id).toBe('a')
    // The ticket is in the address, so the token is not sent along.
    expect(mesh.opened).toEqual(['a/whep/demo/ticket/T '])
    seat.leave()
    await pass(1000)
    expect(mesh.closed).toBe(1)
    expect(seat.store.get()).toMatchObject({ phase: 'ended', stream: null })
  })

  it('asks the node why the picture stands still, and stops asking when it moves', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(5000)
    expect(mesh.lookedAt).toBe(0)
    mesh.picture = 'audio-only'
    await pass(4000)
    expect(seat.store.get()).toMatchObject({ phase: 'live', showing: 'audio-only', moves: 0 })
    mesh.picture = 'all'
    await pass(1000)
    expect(seat.store.get().showing).toBe('less')
    const asked = mesh.lookedAt
    await pass(10_000)
    expect(mesh.lookedAt).toBe(asked)
  })

  it('opens the next session before it ends the one that its node wants to end', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(6000)
    const before = seat.store.get().stream
    mesh.drained.add('a')
    mesh.best = 'b'
    mesh.delay = 900
    await pass(1000)
    // The picture of the old session stays until the new one has its own.
    expect(mesh.open).toEqual(['a', 'b'])
    expect(seat.store.get()).toMatchObject({ phase: 'live', stream: before, trouble: null })
    await pass(2000)
    expect(mesh.open).toEqual(['b'])
    expect(seat.store.get()).toMatchObject({ phase: 'live', moves: 1, trouble: null })
    expect(seat.store.get().node?.id).toBe('b')
    expect(seat.store.get().stream).not.toBe(before)
    seat.leave()
    expect(mesh.open).toEqual([])
  })

  it('leaves both sessions when it is left between them', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(6000)
    mesh.drained.add('a')
    mesh.best = 'b'
    mesh.delay = 5000
    await pass(1000)
    expect(mesh.open).toEqual(['a', 'b'])
    seat.leave()
    await pass(1000)
    expect(mesh.open).toEqual([])
  })

  it('takes its choice along to another node', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(6000)
    seat.choose('saver')
    await pass(1000)
    expect(seat.store.get()).toMatchObject({ choice: 'saver', showing: 'as wished' })
    mesh.alive.delete('a')
    await pass(8000)
    expect(mesh.chosen).toEqual(['a saver', 'b saver'])
  })

  it('moves to a fallback within seconds when its node dies, although the mesh still recommends the dead one', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(10_000)
    mesh.alive.delete('a')
    await pass(5000)
    expect(seat.store.get()).toMatchObject({ phase: 'live', moves: 1, trouble: null })
    expect(seat.store.get().node?.id).toBe('b')
    expect(mesh.opened.at(-1)).toBe('b/whep/demo token')
    seat.leave()
  })

  it('tells the mesh which node failed, and is given another one with a reason', async () => {
    const mesh = new Mesh()
    mesh.heeds = true
    const seat = mesh.seat()
    seat.start()
    await pass(10_000)
    mesh.alive.delete('a')
    await pass(5000)
    expect(seat.store.get()).toMatchObject({ phase: 'live', moves: 1, why: 'b is nearest' })
    expect(mesh.opened.at(-1)).toBe('b/whep/demo/ticket/T ')
    seat.leave()
  })

  it('goes on to the second fallback when the first is dead as well', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(10_000)
    mesh.alive = new Set(['c'])
    mesh.best = 'c'
    await pass(6000)
    expect(seat.store.get().node?.id).toBe('c')
    expect(seat.store.get().phase).toBe('live')
    seat.leave()
  })

  it('stays connected while there is no teacher, and shows the class without a new session when one comes', async () => {
    const mesh = new Mesh()
    mesh.live = false
    const seat = mesh.seat()
    seat.start()
    await pass(60_000)
    expect(seat.store.get()).toMatchObject({ phase: 'waiting', seen: false })
    mesh.live = true
    await pass(1000)
    expect(seat.store.get().phase).toBe('live')
    mesh.live = false
    await pass(30_000)
    expect(seat.store.get()).toMatchObject({ phase: 'waiting', seen: true })
    expect(mesh.opened).toHaveLength(1)
    seat.leave()
  })

  it('leaves a node that is alive but sends nothing of a live class', async () => {
    const mesh = new Mesh()
    mesh.mute.add('a')
    const seat = mesh.seat()
    seat.start()
    await pass(4500)
    mesh.best = 'b'
    await pass(3000)
    expect(seat.store.get()).toMatchObject({ phase: 'live', moves: 1 })
    expect(seat.store.get().node?.id).toBe('b')
    seat.leave()
  })

  it('is patient with a class that claims to be live everywhere and sends nothing anywhere', async () => {
    const mesh = new Mesh()
    mesh.mute = new Set(['a', 'b', 'c'])
    const seat = mesh.seat()
    seat.start()
    await pass(120_000)
    // Three seconds, six, twelve, twenty-four, then half a minute each: not forty sessions.
    expect(mesh.opened.length).toBeLessThan(9)
    seat.leave()
  })

  it('says a clear no at once and does not go on asking', async () => {
    const mesh = new Mesh()
    mesh.refuse = { status: 403, title: 'Forbidden', detail: 'This token is for room algebra.' }
    const seat = mesh.seat()
    seat.start()
    await pass(60_000)
    expect(seat.store.get()).toMatchObject({ phase: 'ended', trouble: { kind: 'refused', status: 403, detail: 'This token is for room algebra.' } })
    expect(mesh.asked.filter((one) => one.startsWith('POST'))).toHaveLength(1)
  })

  it('keeps trying a node that is full', async () => {
    const mesh = new Mesh()
    mesh.refuse = { status: 503, title: 'Full', detail: 'This node is full.' }
    const seat = mesh.seat()
    seat.start()
    await pass(5000)
    expect(seat.store.get().phase).toBe('joining')
    mesh.refuse = null
    await pass(5000)
    expect(seat.store.get().phase).toBe('live')
    seat.leave()
  })

  it('takes a seat elsewhere when the node that was named has none left', async () => {
    const mesh = new Mesh()
    mesh.heeds = true
    mesh.full.add('b')
    mesh.best = 'b'
    const seat = mesh.seat()
    seat.start()
    await pass(100)
    expect(seat.store.get()).toMatchObject({ phase: 'joining', trouble: { kind: 'refused', status: 503 } })
    await pass(4000)
    expect(seat.store.get().phase).toBe('live')
    expect(seat.store.get().node?.id).toBe('a')
    seat.leave()
  })

  it('goes elsewhere when the media of a node cannot be reached', async () => {
    const mesh = new Mesh()
    mesh.heeds = true
    mesh.walled.add('a')
    const seat = mesh.seat()
    seat.start()
    await pass(15_000)
    expect(mesh.opened.map((one) => one[0])).toEqual(['a', 'b'])
    expect(seat.store.get()).toMatchObject({ phase: 'live', moves: 1 })
    seat.leave()
  })

  it('ends its session in the moment in which it is left', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(2000)
    expect(seat.watching).toBe(true)
    seat.leave()
    // A page that is left runs no timer and hears no answer.
    expect(mesh.closed).toBe(1)
    expect(seat.watching).toBe(false)
    await pass(1000)
    expect(mesh.closed).toBe(1)
  })

  it('believes that the room was closed only when every node says so', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(10_000)
    mesh.refuse = { status: 404, title: 'Unknown room', detail: 'No room demo.' }
    mesh.mute = new Set(['a'])
    mesh.alive.delete('a')
    await pass(20_000)
    expect(seat.store.get().phase).toBe('reconnecting')
    mesh.alive.add('a')
    await pass(20_000)
    expect(seat.store.get()).toMatchObject({ phase: 'ended', trouble: { kind: 'refused', status: 404 } })
  })

  it('tries again at once when the network returns', async () => {
    const mesh = new Mesh()
    mesh.alive.clear()
    const seat = mesh.seat()
    seat.start()
    await pass(30_000)
    expect(seat.store.get().trouble).toEqual({ kind: 'unreachable' })
    mesh.alive.add('a')
    const before = mesh.asked.length
    seat.hurry()
    await pass(0)
    expect(mesh.asked.length).toBeGreaterThan(before)
    seat.leave()
  })

  it('can be left and joined again', async () => {
    const mesh = new Mesh()
    const seat = mesh.seat()
    seat.start()
    await pass(2000)
    seat.leave()
    seat.start()
    await pass(2000)
    expect(seat.store.get().phase).toBe('live')
    seat.leave()
    await pass(1000)
    expect(mesh.closed).toBe(2)
  })

  it('asks for a new ticket when the first was spent', async () => {
    const mesh = new Mesh()
    const { view } = mesh
    let first = true
    const seat = new Seat('http://a', 'demo', 'token', {
      fetch: mesh.fetch,
      view: (fetcher, url, token) => {
        if (!first) return view(fetcher, url, token)
        first = false
        return Promise.reject(new Refusal(401, 'Spent', 'This ticket was used.'))
      },
      now: () => Date.now(),
      random: () => 0.5,
      wait,
    })
    seat.start()
    await pass(4000)
    expect(seat.store.get().phase).toBe('live')
    seat.leave()
  })
})
