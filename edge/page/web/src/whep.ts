// Watching: one WHEP session in this browser.

import { ask, type Fetch } from './api'
import { listen } from './events'
import { hangUp, negotiate, newPeer, num, order, repairSound, reportsOf, roundTrip, stateOf, type Report } from './rtc'

/** Picture is what the student's side of the connection shows at one moment. */
export interface Picture {
  /** Milliseconds of the browser's clock. */
  at: number
  bytes: number
  /** Of the camera and the screen together. */
  framesDecoded: number
  /** Of the camera. */
  framesPerSecond: number
  width: number
  height: number
  screen: Screen
  audioLevel: number
  /** Round trip to the node in ms; null: not known. */
  rtt: number | null
  packetsLost: number
  packetsReceived: number
}

/** Screen is what arrives of a shared screen; all is 0 while there was none. */
export interface Screen {
  framesDecoded: number
  width: number
  height: number
}

/** Viewing is a session while it lasts. The seat talks to this shape, so its tests need no browser. */
export interface Viewing {
  /** The camera and the microphone. */
  readonly stream: MediaStream
  /** The screen and what is heard from it; silent and without a picture while nobody shares one. */
  readonly screen: MediaStream
  readonly node: string
  connection(): RTCPeerConnectionState
  /** moving tells whether the node has asked for another session in the place of this one. */
  moving(): boolean
  look(): Promise<Picture>
  /** shown asks the node what it shows us. */
  shown(signal?: AbortSignal): Promise<Shown>
  /** choose tells it what we want of the picture. */
  choose(choice: Choice, signal?: AbortSignal): Promise<Shown>
  close(): void
}

/** Showing is what the node shows us: everything, less or only sound because our network carries no more, or as we wished. */
export type Showing = 'all' | 'less' | 'audio-only' | 'as wished'

/** Shown is what a node says of itself. */
export interface Shown {
  picture: Showing
  /** Whether somebody shares a screen, moving or not. */
  screen: boolean
}

/** Choice is what a student wants of the picture. */
export type Choice = 'auto' | 'saver' | 'audio'

/** The body of each choice. A saver of data has 300 kbit/s for sound and picture together: some 130 MB in an hour. */
const bodies: Record<Choice, object> = { auto: {}, saver: { maxBitrate: 300_000 }, audio: { audioOnly: true } }

/** The node learns our addresses from the checks, so waiting longer for candidates only delays the first picture, ms. */
const gather = 150

/** view opens a session at a WHEP URL. */
export async function view(fetcher: Fetch, url: string, token: string, signal?: AbortSignal): Promise<Viewing> {
  const peer = newPeer()
  try {
    // Of two pictures the node sends the camera as the first and the screen as the second, and of sound likewise.
    const ask = (kind: 'video' | 'audio') => peer.addTransceiver(kind, { direction: 'recvonly' })
    const [camera, microphone, display, sound] = [ask('video'), ask('audio'), ask('video'), ask('audio')]
    const stream = new MediaStream([camera.receiver.track, microphone.receiver.track])
    const screen = new MediaStream([display.receiver.track, sound.receiver.track])
    try {
      const able = RTCRtpReceiver.getCapabilities('video')?.codecs ?? []
      for (const picture of [camera, display]) picture.setCodecPreferences(order(able, ['video/vp8', 'video/h264']))
    } catch {
      // Without preferences the browser offers all that it has; the node takes what the class uses.
    }
    const session = await negotiate(fetcher, peer, url, token, gather, signal, repairSound)
    let moving = false
    const deaf = listen(session.url, () => (moving = true))
    return {
      stream,
      screen,
      node: session.node,
      connection: () => stateOf(peer),
      moving: () => moving,
      look: async () => pictureOf(reportsOf(await peer.getStats()), performance.now(), display.receiver.track.id),
      shown: (signal) => layer(fetcher, session.url, { method: 'GET' }, signal),
      choose: (choice, signal) =>
        layer(fetcher, session.url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(bodies[choice]) }, signal),
      close: () => {
        deaf()
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

/** layer talks to the layer selection of a session, whose URL is the right to use it. */
async function layer(fetcher: Fetch, session: string, init: RequestInit, signal?: AbortSignal): Promise<Shown> {
  const answer = await ask(fetcher, `${session}/layer`, init, signal)
  return JSON.parse(answer.text) as Shown
}

/** pictureOf reads getStats. The screen's track is the one with the id `screen`. */
export function pictureOf(reports: Report[], at: number, screen: string): Picture {
  const inbound = reports.filter((report) => report.type === 'inbound-rtp')
  const videos = inbound.filter((report) => report['kind'] === 'video')
  const display = videos.find((report) => report['trackIdentifier'] === screen)
  const video = videos.find((report) => report !== display)
  const sum = (key: string) => inbound.reduce((total, report) => total + num(report[key]), 0)
  return {
    at,
    bytes: sum('bytesReceived'),
    framesDecoded: num(video?.['framesDecoded']) + num(display?.['framesDecoded']),
    framesPerSecond: num(video?.['framesPerSecond']),
    width: num(video?.['frameWidth']),
    height: num(video?.['frameHeight']),
    screen: {
      framesDecoded: num(display?.['framesDecoded']),
      width: num(display?.['frameWidth']),
      height: num(display?.['frameHeight']),
    },
    audioLevel: Math.max(0, ...inbound.map((report) => num(report['audioLevel']))),
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
