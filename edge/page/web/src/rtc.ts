// What watching and publishing have in common: offers, sessions, and reading getStats.

import { ask, bearer, originOf, type Fetch } from './api'

/** Session is one WHIP or WHEP session at a node. */
export interface Session {
  /** Where it can be ended. */
  url: string
  /** The base URL of the node that really serves it, after redirects. */
  node: string
}

/** newPeer makes the connection that every session uses: one transport for all, and no third party to reach the node. */
export function newPeer(): RTCPeerConnection {
  return new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require', iceServers: [] })
}

/**
 * negotiate sends the offer and takes the answer. It waits for candidates for at most `gather` ms: the node learns an
 * address that comes too late from the connectivity checks themselves. `edit` changes the offer before it is used.
 */
export async function negotiate(
  fetcher: Fetch,
  peer: RTCPeerConnection,
  url: string,
  token: string,
  gather: number,
  signal?: AbortSignal,
  edit: (sdp: string) => string = (sdp) => sdp,
): Promise<Session> {
  const offer = await peer.createOffer()
  await peer.setLocalDescription({ type: 'offer', sdp: edit(offer.sdp ?? '') })
  await gathered(peer, gather)
  const answer = await ask(
    fetcher,
    url,
    { method: 'POST', headers: { 'Content-Type': 'application/sdp', ...bearer(token) }, body: peer.localDescription?.sdp ?? '' },
    signal,
  )
  const location = answer.headers.get('Location')
  const session = location ? new URL(location, answer.url).href : ''
  try {
    await peer.setRemoteDescription({ type: 'answer', sdp: answer.text })
  } catch (error) {
    hangUp(fetcher, session)
    throw error
  }
  return { url: session, node: originOf(session || answer.url) }
}

/**
 * repairSound lets the browser ask for packets of sound that are missing. Browsers do so when the offer says it, and no
 * setting but the text of the offer makes them say it.
 */
export function repairSound(sdp: string): string {
  return sdp.replace(/^(a=rtpmap:(\d+) opus\/48000\/2)\r\n(?!a=rtcp-fb:\2 nack\r\n)/gim, '$1\r\na=rtcp-fb:$2 nack\r\n')
}

/** stateOf is the state of a connection. It is closed too when the node has ended it: browsers go on to call it connected. */
export function stateOf(peer: RTCPeerConnection): RTCPeerConnectionState {
  const ended = peer.getTransceivers().some(({ sender, receiver }) => (sender.transport ?? receiver.transport)?.state === 'closed')
  return ended ? 'closed' : peer.connectionState
}

/** hangUp ends a session at its node. Nobody waits for it: a node that is gone has ended it already. */
export function hangUp(fetcher: Fetch, session: string): void {
  if (!session) return
  // The session's URL is the right to end it, so no header is needed. keepalive lets it outlive the page.
  fetcher(session, { method: 'DELETE', keepalive: true, credentials: 'omit' }).catch(() => undefined)
}

/** order sorts what the browser can do by our preference and drops the rest; repair formats stay with their codec. */
export function order(codecs: RTCRtpCodec[], wanted: string[]): RTCRtpCodec[] {
  const repair = ['video/rtx']
  const rank = (codec: RTCRtpCodec) => wanted.indexOf(codec.mimeType.toLowerCase())
  const chosen = codecs.filter((codec) => rank(codec) >= 0).sort((a, b) => rank(a) - rank(b))
  return [...chosen, ...codecs.filter((codec) => repair.includes(codec.mimeType.toLowerCase()))]
}

/** Report is one entry of getStats, as far as we read it. */
export type Report = Record<string, unknown> & { id: string; type: string; timestamp: number }

/** reportsOf lists the entries of a getStats answer. */
export function reportsOf(stats: RTCStatsReport): Report[] {
  const list: Report[] = []
  stats.forEach((report) => list.push(report as Report))
  return list
}

/** num reads a number that may be missing. */
export function num(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}

/** chosenPair is the pair of addresses in use. */
export function chosenPair(reports: Report[]): Report | undefined {
  const transport = reports.find((report) => report.type === 'transport')
  const pairs = reports.filter((report) => report.type === 'candidate-pair')
  return (
    pairs.find((pair) => pair.id === transport?.['selectedCandidatePairId']) ??
    // Firefox has no transport entry that names it.
    pairs.find((pair) => pair['selected'] === true || (pair['nominated'] === true && pair['state'] === 'succeeded'))
  )
}

/** roundTrip is the time to the node and back in ms; null while nobody measured it. */
export function roundTrip(reports: Report[]): number | null {
  const seconds = chosenPair(reports)?.['currentRoundTripTime']
  return typeof seconds === 'number' ? seconds * 1000 : null
}

function gathered(peer: RTCPeerConnection, limit: number): Promise<void> {
  if (peer.iceGatheringState === 'complete') return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      peer.removeEventListener('icegatheringstatechange', check)
      resolve()
    }
    const check = () => {
      if (peer.iceGatheringState === 'complete') done()
    }
    const timer = setTimeout(done, limit)
    peer.addEventListener('icegatheringstatechange', check)
  })
}
