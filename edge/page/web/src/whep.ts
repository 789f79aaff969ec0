// Watching: one WHEP session in this browser.

import type { Fetch } from './api'
import { hangUp, negotiate, newPeer, num, order, reportsOf, roundTrip, type Report } from './rtc'

/** Picture is what the student's side of the connection shows at one moment. */
export interface Picture {
  /** Milliseconds of the browser's clock. */
  at: number
  bytes: number
  framesDecoded: number
  framesPerSecond: number
  width: number
  height: number
  audioLevel: number
  /** Round trip to the node in ms; null: not known. */
  rtt: number | null
  packetsLost: number
  packetsReceived: number
}

/** Viewing is a session while it lasts. The seat talks to this shape, so its tests need no browser. */
export interface Viewing {
  readonly stream: MediaStream
  readonly node: string
  connection(): RTCPeerConnectionState
  look(): Promise<Picture>
  close(): void
}

/** The node learns our addresses from the checks, so waiting longer for candidates only delays the first picture, ms. */
const gather = 150

/** view opens a session at a WHEP URL. */
export async function view(fetcher: Fetch, url: string, token: string, signal?: AbortSignal): Promise<Viewing> {
  const peer = newPeer()
  try {
    const stream = new MediaStream()
    peer.addEventListener('track', (event) => stream.addTrack(event.track))
    const video = peer.addTransceiver('video', { direction: 'recvonly' })
    peer.addTransceiver('audio', { direction: 'recvonly' })
    try {
      const able = RTCRtpReceiver.getCapabilities('video')?.codecs ?? []
      video.setCodecPreferences(order(able, ['video/vp8', 'video/h264']))
    } catch {
      // Without preferences the browser offers all that it has; the node takes what the class uses.
    }
    const session = await negotiate(fetcher, peer, url, token, gather, signal)
    return {
      stream,
      node: session.node,
      connection: () => peer.connectionState,
      look: async () => pictureOf(reportsOf(await peer.getStats()), performance.now()),
      close: () => {
        if (peer.signalingState === 'closed') return
        hangUp(fetcher, session.url)
        peer.close()
      },
    }
  } catch (error) {
    peer.close()
    throw error
  }
}

/** pictureOf reads getStats. */
export function pictureOf(reports: Report[], at: number): Picture {
  const inbound = reports.filter((report) => report.type === 'inbound-rtp')
  const video = inbound.find((report) => report['kind'] === 'video')
  const audio = inbound.find((report) => report['kind'] === 'audio')
  const sum = (key: string) => inbound.reduce((total, report) => total + num(report[key]), 0)
  return {
    at,
    bytes: sum('bytesReceived'),
    framesDecoded: num(video?.['framesDecoded']),
    framesPerSecond: num(video?.['framesPerSecond']),
    width: num(video?.['frameWidth']),
    height: num(video?.['frameHeight']),
    audioLevel: num(audio?.['audioLevel']),
    rtt: roundTrip(reports),
    packetsLost: Math.max(0, sum('packetsLost')),
    packetsReceived: sum('packetsReceived'),
  }
}

/** bitrate is the rate between two looks, in bit/s. */
export function bitrate(before: { at: number; bytes: number }, after: { at: number; bytes: number }): number {
  const ms = after.at - before.at
  return ms > 0 ? (Math.max(0, after.bytes - before.bytes) * 8000) / ms : 0
}
