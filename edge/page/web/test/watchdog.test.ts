import { describe, expect, it } from 'vitest'
import { handshake, starved, Watchdog, type Verdict } from '../src/watchdog'

/** watch looks every 500 ms at what `see` says and answers the last verdict and its time. */
function watch(dog: Watchdog, from: number, to: number, see: (now: number) => { connection?: RTCPeerConnectionState; bytes: number }): [number, Verdict] {
  let verdict: Verdict = { kind: 'connecting' }
  let now = from
  for (; now <= to; now += 500) {
    verdict = dog.look({ now, connection: 'connected', ...see(now) })
    if (verdict.kind === 'lost') break
  }
  return [now, verdict]
}

describe('Watchdog', () => {
  it('gives up a session that never connects', () => {
    const [at, verdict] = watch(new Watchdog(0), 500, 60_000, () => ({ connection: 'connecting', bytes: 0 }))
    expect(verdict).toEqual({ kind: 'lost', why: 'handshake' })
    expect(at).toBe(handshake + 500)
  })

  it('is content while bytes arrive', () => {
    const [, verdict] = watch(new Watchdog(0), 500, 60_000, (now) => ({ bytes: now }))
    expect(verdict).toEqual({ kind: 'flowing' })
  })

  it('waits for ever while the class is idle', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 2000, () => ({ bytes: 0 }))
    dog.heard(2000, 'idle')
    const [, verdict] = watch(dog, 2500, 120_000, () => ({ bytes: 0 }))
    expect(verdict.kind).toBe('silent')
  })

  it('asks the node when bytes stop, and only now and then', () => {
    const dog = new Watchdog(0)
    let probes = 0
    for (let now = 500; now <= 10_000; now += 500) {
      const verdict = dog.look({ now, connection: 'connected', bytes: Math.min(now, 1000) })
      if (verdict.kind === 'silent' && verdict.probe) probes++
    }
    expect(probes).toBe(3)
  })

  it('is lost when a live class sends nothing', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 3000, (now) => ({ bytes: Math.min(now, 1000) }))
    dog.heard(3000, 'live')
    const [at, verdict] = watch(dog, 3500, 60_000, () => ({ bytes: 1000 }))
    expect(verdict).toEqual({ kind: 'lost', why: 'starved' })
    expect(at).toBeLessThanOrEqual(1000 + starved + 500)
  })

  it('gives a class that begins its whole patience', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 10_000, () => ({ bytes: 0 }))
    dog.heard(10_000, 'idle')
    watch(dog, 10_500, 20_000, () => ({ bytes: 0 }))
    dog.heard(20_000, 'live')
    const [at] = watch(dog, 20_500, 60_000, () => ({ bytes: 0 }))
    expect(at).toBe(20_000 + starved + 500)
  })

  it('is lost at once when the node does not answer while nothing arrives', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 3000, (now) => ({ bytes: Math.min(now, 1000) }))
    expect(dog.heard(3000, 'unreachable')).toEqual({ kind: 'lost', why: 'unreachable' })
  })

  it('does not mind a node that does not answer while bytes arrive', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 3000, (now) => ({ bytes: now }))
    expect(dog.heard(3000, 'unreachable').kind).toBe('silent')
  })

  it('forgives a short disconnection and not a long one', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 2000, (now) => ({ bytes: now }))
    expect(watch(dog, 2500, 4000, () => ({ connection: 'disconnected', bytes: 2000 }))[1].kind).not.toBe('lost')
    expect(watch(dog, 4500, 5000, (now) => ({ bytes: now }))[1].kind).toBe('flowing')
    const [at, verdict] = watch(dog, 5500, 20_000, () => ({ connection: 'disconnected', bytes: 5000 }))
    expect(verdict).toEqual({ kind: 'lost', why: 'connection' })
    expect(at).toBe(8000)
  })

  it('is lost at once when the connection failed', () => {
    const dog = new Watchdog(0)
    expect(dog.look({ now: 500, connection: 'failed', bytes: 0 })).toEqual({ kind: 'lost', why: 'connection' })
  })

  it('concludes nothing from a sleep of the page', () => {
    const dog = new Watchdog(0)
    watch(dog, 500, 3000, (now) => ({ bytes: now }))
    dog.heard(3000, 'live')
    expect(dog.look({ now: 600_000, connection: 'connected', bytes: 3000 }).kind).not.toBe('lost')
  })
})
