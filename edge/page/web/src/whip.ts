// Publishing: one WHIP session in this browser.

import type { Fetch } from './api'
import { chosenPair, hangUp, negotiate, newPeer, num, order, reportsOf, roundTrip, stateOf, type Report } from './rtc'
import { bitrate } from './whep'

/** The three sizes of the picture, smallest first. A student on a thin line gets `q`, one on a good line `f`. */
export const layers: readonly RTCRtpEncodingParameters[] = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
]

/**
 * The two sizes of a screen. Text is of use only in full; the small one, a few times a second, is for lines that carry no
 * more. A screen that stands still costs next to nothing in either.
 */
export const screenLayers: readonly RTCRtpEncodingParameters[] = [
  { rid: 'q', scaleResolutionDownBy: 2, maxBitrate: 250_000, maxFramerate: 5 },
  { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_800_000, maxFramerate: 15 },
]

/** Sound is compressed to at most this, bit/s: clear speech, and still small beside any picture. */
const soundBitrate = 48_000
/** What is heard from a screen may be music, bit/s. */
const screenSoundBitrate = 96_000

/** LayerReport tells about one size of the picture. */
export interface LayerReport {
  rid: string
  bytes: number
  width: number
  height: number
  framesPerSecond: number
  framesEncoded: number
}

/** Sending tells about one size of the picture as it leaves now. */
export interface Sending {
  rid: string
  width: number
  height: number
  framesPerSecond: number
  bitrate: number
}

/** Output is what the teacher's side of the connection shows at one moment. */
export interface Output {
  at: number
  /** All that was sent, in bytes. */
  bytes: number
  /** Grows while the node answers in any way: its reports and its connectivity checks. */
  signs: number
  layers: LayerReport[]
  rtt: number | null
}

/** Publishing is a session while it lasts. */
export interface Publishing {
  readonly node: string
  connection(): RTCPeerConnectionState
  look(): Promise<Output>
  /** replace shows other media in the same session; null sends nothing of that kind. */
  replace(media: { video?: MediaStreamTrack | null; audio?: MediaStreamTrack | null }): Promise<void>
  close(): void
}

/** Media is what a session sends of each kind: null is nothing for now, and a kind that is left out is not offered. */
export interface Media {
  video: MediaStreamTrack | null
  audio?: MediaStreamTrack | null
}

/** publish opens a session at a WHIP URL, of a camera or of a screen. */
export async function publish(
  fetcher: Fetch,
  url: string,
  token: string,
  media: Media,
  signal?: AbortSignal,
  of: 'camera' | 'screen' = 'camera',
): Promise<Publishing> {
  const peer = newPeer()
  try {
    // One MediaStream for both kinds, so that players keep them in step. WHIP has no new negotiation: what may join later
    // is offered now.
    const stream = new MediaStream()
    const video = peer.addTransceiver(media.video ?? 'video', {
      direction: 'sendonly',
      streams: [stream],
      sendEncodings: (of === 'screen' ? screenLayers : layers).map((layer) => ({ ...layer })),
    })
    const audio =
      media.audio === undefined
        ? null
        : peer.addTransceiver(media.audio ?? 'audio', {
            direction: 'sendonly',
            streams: [stream],
            sendEncodings: [{ maxBitrate: of === 'screen' ? screenSoundBitrate : soundBitrate }],
          })
    try {
      const able = RTCRtpSender.getCapabilities('video')?.codecs ?? []
      // VP8 first: every browser sends three layers of it and every browser plays it.
      video.setCodecPreferences(order(able, ['video/vp8', 'video/h264']))
    } catch {
      // The browser's own order serves as well.
    }
    const session = await negotiate(fetcher, peer, url, token, 1000, signal)
    return {
      node: session.node,
      connection: () => stateOf(peer),
      look: async () => outputOf(reportsOf(await peer.getStats()), performance.now()),
      replace: async (next) => {
        if (next.video !== undefined) await video.sender.replaceTrack(next.video)
        if (next.audio !== undefined) await audio?.sender.replaceTrack(next.audio)
      },
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

/** outputOf reads getStats. */
export function outputOf(reports: Report[], at: number): Output {
  const outbound = reports.filter((report) => report.type === 'outbound-rtp')
  const rids = layers.map((layer) => layer.rid ?? '')
  const pair = chosenPair(reports)
  return {
    at,
    bytes: outbound.reduce((sum, report) => sum + num(report['bytesSent']), 0),
    signs: num(pair?.['bytesReceived']) + num(pair?.['responsesReceived']),
    layers: outbound
      .filter((report) => report['kind'] === 'video')
      .map((report) => ({
        rid: String(report['rid'] ?? 'f'),
        bytes: num(report['bytesSent']),
        width: num(report['frameWidth']),
        height: num(report['frameHeight']),
        framesPerSecond: num(report['framesPerSecond']),
        framesEncoded: num(report['framesEncoded']),
      }))
      .sort((a, b) => rids.indexOf(a.rid) - rids.indexOf(b.rid)),
    rtt: roundTrip(reports),
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
