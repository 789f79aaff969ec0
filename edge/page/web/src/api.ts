// What the pages say to a node over HTTP, apart from the media sessions themselves.

/** NodeRef names a node as the answers of the API do. */
export interface NodeRef {
  id: string
  region: string
  place: string
  url: string
}

/** Seating is the answer to a join: where to watch, where else, and why. */
export interface Seating {
  edge: NodeRef
  fallbacks: NodeRef[]
  ticket: string
  whep: string
  why: string
}

/** RoomState is what a node says about a room to someone who may be in it. */
export interface RoomState {
  room: string
  title: string
  live: boolean
  /** Id of the node where the teacher publishes; empty when nobody does. */
  home: string
  students: number
}

/** Refusal is a node's clear "no": its status and its sentence (RFC 9457). */
export class Refusal extends Error {
  readonly status: number
  readonly title: string
  readonly retryAfter: number

  constructor(status: number, title: string, detail: string, retryAfter = 0) {
    super(detail || title || `status ${status}`)
    this.name = 'Refusal'
    this.status = status
    this.title = title
    this.retryAfter = retryAfter
  }
}

/** Unreachable means that nobody answered: no network, a dead node, or a deadline that passed. */
export class Unreachable extends Error {
  constructor(url: string, cause: unknown) {
    super(`no answer from ${hostOf(url)}`, { cause })
    this.name = 'Unreachable'
  }
}

export type Fetch = typeof fetch

/** Every request gives up after this many ms: a node that is gone may swallow packets instead of refusing. */
export const deadline = 4000
/** A question about the room while nothing arrives is the test whether the node lives, so it is given less, ms. */
export const probeDeadline = 2000

/** Answer is a response that has arrived whole. */
export interface Answer {
  headers: Headers
  /** Where it came from, after redirects. */
  url: string
  text: string
}

/**
 * ask sends one request and answers what came back if the status is 2xx; else it throws Refusal or Unreachable. The
 * limit holds for the body as well: a node may die between its header and its last byte.
 */
export async function ask(fetcher: Fetch, url: string, init: RequestInit = {}, signal?: AbortSignal, limit = deadline): Promise<Answer> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(new Error('deadline')), limit)
  const cancel = () => stop.abort(signal?.reason)
  if (signal?.aborted) cancel()
  signal?.addEventListener('abort', cancel)
  let response: Response
  let body: string
  try {
    response = await fetcher(url, { cache: 'no-store', credentials: 'omit', ...init, signal: stop.signal })
    body = await response.text()
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Unreachable(url, error)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', cancel)
  }
  if (!response.ok) throw refusalOf(response, body)
  return { headers: response.headers, url: response.url || url, text: body }
}

/** bearer makes the header that carries a token; none when there is no token. */
export function bearer(token: string): Record<string, string> {
  return token ? { Authorization: `Bearer ${token}` } : {}
}

/** join asks the node at `base` for a seat in the room, but not at the nodes whose ids are in `avoid`: they just failed. */
export async function join(
  fetcher: Fetch,
  base: string,
  room: string,
  token: string,
  avoid: string[],
  signal?: AbortSignal,
): Promise<Seating> {
  const url = `${base}/v1/rooms/${encodeURIComponent(room)}/join`
  const body = avoid.length > 0 ? { headers: { 'Content-Type': 'application/json', ...bearer(token) }, body: JSON.stringify({ avoid: avoid.slice(0, 16) }) } : { headers: bearer(token) }
  return seatingOf(json(await ask(fetcher, url, { method: 'POST', ...body }, signal)))
}

/** roomState asks the node at `base` whether the class is live, and how many watch. */
export async function roomState(fetcher: Fetch, base: string, room: string, token: string, signal?: AbortSignal): Promise<RoomState> {
  const url = `${base}/v1/rooms/${encodeURIComponent(room)}`
  const body = record(json(await ask(fetcher, url, { headers: bearer(token) }, signal, probeDeadline)))
  return {
    room: text(body['room']),
    title: text(body['title']),
    live: body['live'] === true,
    home: text(body['home']) || text(record(body['home'])['id']),
    students: count(body['students']),
  }
}

/** seatingOf reads a join answer and refuses one that names no place to watch. */
export function seatingOf(value: unknown): Seating {
  const body = record(value)
  const whep = text(body['whep'])
  const edge = nodeOf(body['edge'])
  if (!whep || !edge) throw new Refusal(502, 'Unclear answer', 'The node answered without a place to watch.')
  const fallbacks = Array.isArray(body['fallbacks']) ? body['fallbacks'].slice(0, 16) : []
  return {
    edge,
    fallbacks: fallbacks.map(nodeOf).filter((node) => node !== null),
    ticket: text(body['ticket']),
    whep,
    why: text(body['why']),
  }
}

/** hostOf is the part of a URL that a person can recognise. */
export function hostOf(url: string): string {
  try {
    return new URL(url).host
  } catch {
    return url
  }
}

/** originOf is scheme, host and port of a URL; empty when it is none. */
export function originOf(url: string): string {
  try {
    const origin = new URL(url).origin
    return origin === 'null' ? '' : origin
  } catch {
    return ''
  }
}

function refusalOf(response: Response, answer: string): Refusal {
  let body: Record<string, unknown> = {}
  try {
    body = record(JSON.parse(answer.slice(0, 8192)))
  } catch {
    // No problem document: the status alone must do.
  }
  const seconds = Number(response.headers.get('Retry-After'))
  const detail = text(body['detail']) || text(body['error'])
  return new Refusal(response.status, text(body['title']), detail, Number.isFinite(seconds) ? Math.max(0, seconds) : 0)
}

function json(answer: Answer): unknown {
  try {
    return JSON.parse(answer.text)
  } catch (error) {
    throw new Unreachable(answer.url, error)
  }
}

function nodeOf(value: unknown): NodeRef | null {
  const body = record(value)
  const url = originOf(text(body['url']))
  if (!url) return null
  return { id: text(body['id']), region: text(body['region']), place: text(body['place']), url }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 4096) : ''
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.floor(value) : 0
}
