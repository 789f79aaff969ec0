import { describe, expect, it, vi } from 'vitest'
import { ask, deadline, join, Refusal, roomState, seatingOf, Unreachable } from '../src/api'

const answering = (response: () => Response) => vi.fn((_url: RequestInfo | URL, _init?: RequestInit) => Promise.resolve(response()))

describe('join', () => {
  it('posts with the token and reads the answer', async () => {
    const fetcher = answering(() =>
      Response.json({
        edge: { id: 'fra-1', region: 'eu', place: 'Frankfurt', url: 'http://n1:8080/' },
        fallbacks: [{ id: 'x', url: 'javascript:alert(1)' }, { id: 'sin-1', url: 'http://n2:8080' }, null],
        whep: 'http://n1:8080/whep/demo/ticket/t',
        ticket: 't',
        why: 'Nearest.',
      }),
    )
    const seating = await join(fetcher, 'http://n1:8080', 'a b', 'secret', [])
    const [url, init] = fetcher.mock.calls[0]!
    expect(url).toBe('http://n1:8080/v1/rooms/a%20b/join')
    expect(init).toMatchObject({ method: 'POST', headers: { Authorization: 'Bearer secret' } })
    expect(seating.edge.url).toBe('http://n1:8080')
    // A node without a usable address is no fallback.
    expect(seating.fallbacks.map((node) => node.id)).toEqual(['sin-1'])
  })

  it('names the nodes that just failed', async () => {
    const fetcher = answering(() => Response.json({ edge: { id: 'a', url: 'http://a' }, whep: 'http://a/whep/demo' }))
    await join(fetcher, 'http://a', 'demo', 'secret', ['b'])
    expect(fetcher.mock.calls[0]![1]).toMatchObject({ body: '{"avoid":["b"]}', headers: { 'Content-Type': 'application/json' } })
  })

  it('refuses an answer that names no place to watch', () => {
    for (const bad of [null, {}, { whep: 'http://x' }, { edge: { url: 'nonsense' }, whep: 'http://x' }]) {
      expect(() => seatingOf(bad)).toThrow(Refusal)
    }
  })
})

describe('roomState', () => {
  it('reads leniently', async () => {
    const room = await roomState(answering(() => Response.json({ title: 'Optics', live: 'yes', students: -4 })), 'http://n', 'demo', '')
    expect(room).toEqual({ room: '', title: 'Optics', live: false, home: '', students: 0 })
  })
})

describe('ask', () => {
  it('turns a problem document into its sentence', async () => {
    const fetcher = answering(() => Response.json({ title: 'Occupied', detail: 'Another teacher is here.' }, { status: 409, headers: { 'Retry-After': '2' } }))
    await expect(ask(fetcher, 'http://n/')).rejects.toMatchObject({ name: 'Refusal', status: 409, title: 'Occupied', message: 'Another teacher is here.', retryAfter: 2 })
  })

  it('does without one', async () => {
    await expect(ask(answering(() => new Response('<html>', { status: 502 })), 'http://n/')).rejects.toMatchObject({ status: 502, message: 'status 502' })
  })

  it('calls a dead node unreachable', async () => {
    const fetcher = vi.fn(() => Promise.reject(new TypeError('Failed to fetch')))
    await expect(ask(fetcher, 'http://n:1/')).rejects.toThrow(Unreachable)
  })

  it('does not wait for ever for a node that swallows packets', async () => {
    vi.useFakeTimers()
    const fetcher = vi.fn(
      (_url: RequestInfo | URL, init?: RequestInit) =>
        new Promise<Response>((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(new Error('aborted')))),
    )
    const asked = expect(ask(fetcher, 'http://n/')).rejects.toThrow(Unreachable)
    await vi.advanceTimersByTimeAsync(deadline)
    await asked
    vi.useRealTimers()
  })

  it('does not wait for ever for the rest of an answer', async () => {
    vi.useFakeTimers()
    const fetcher = vi.fn((_url: RequestInfo | URL, init?: RequestInit) => {
      const begun = new Response('')
      begun.text = () => new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(new Error('aborted'))))
      return Promise.resolve(begun)
    })
    const asked = expect(ask(fetcher, 'http://n/')).rejects.toThrow(Unreachable)
    await vi.advanceTimersByTimeAsync(deadline)
    await asked
    vi.useRealTimers()
  })
})
