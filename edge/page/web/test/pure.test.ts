// The parts that are told everything and answer something.

import { describe, expect, it } from 'vitest'
import { base, cap, pause } from '../src/backoff'
import { clock, millis, nodeName, nodePlace, rate } from '../src/format'
import { shown } from '../src/meter'
import { faultOf, DeviceError } from '../src/media'
import { order, repairSound } from '../src/rtc'
import { cleanToken, keyOf, parseRoute, pathOf, roomIn, takeToken, tokenIn } from '../src/route'
import { strings } from '../src/strings'
import { bitrate, pictureOf } from '../src/whep'
import { outputOf, sendingOf } from '../src/whip'

describe('pause', () => {
  it('doubles up to its cap and keeps half of itself', () => {
    expect(pause(0, () => 0)).toBe(base / 2)
    expect(pause(0, () => 1)).toBe(base)
    expect(pause(2, () => 1)).toBe(base * 4)
    for (const attempt of [5, 50, 5000]) {
      expect(pause(attempt, () => 0)).toBe(cap / 2)
      expect(pause(attempt, () => 1)).toBe(cap)
    }
  })
})

describe('format', () => {
  it('writes durations', () => {
    expect(clock(-5)).toBe('0:00')
    expect(clock(7_400)).toBe('0:07')
    expect(clock(754_000)).toBe('12:34')
    expect(clock(3_723_000)).toBe('1:02:03')
  })
  it('writes rates', () => {
    expect(rate(0)).toBe('0 kbit/s')
    expect(rate(NaN)).toBe('0 kbit/s')
    expect(rate(840_200)).toBe('840 kbit/s')
    expect(rate(999_499)).toBe('999 kbit/s')
    expect(rate(2_350_000)).toBe('2.4 Mbit/s')
  })
  it('writes round trips', () => {
    expect(millis(0.4)).toBe('< 1 ms')
    expect(millis(41.6)).toBe('42 ms')
  })
  it('names nodes', () => {
    expect(nodeName({ id: 'fra-1', url: 'http://10.0.0.1:8080' })).toBe('fra-1')
    expect(nodeName({ id: '', url: 'http://10.0.0.1:8080' })).toBe('10.0.0.1:8080')
    expect(nodePlace({ place: 'Frankfurt', region: 'eu' })).toBe('Frankfurt, eu')
    expect(nodePlace({ place: 'Frankfurt', region: 'Frankfurt' })).toBe('Frankfurt')
    expect(nodePlace({ place: '', region: '' })).toBe('')
  })
})

describe('route', () => {
  it('reads and writes addresses', () => {
    expect(parseRoute('/')).toEqual({ page: 'landing' })
    expect(parseRoute('/watch/demo')).toEqual({ page: 'watch', room: 'demo' })
    expect(parseRoute('/teach/a%20b/')).toEqual({ page: 'teach', room: 'a b' })
    expect(parseRoute('/watch/%E0%A4%A')).toEqual({ page: 'landing' })
    expect(parseRoute('/watch/a/b')).toEqual({ page: 'landing' })
    expect(parseRoute(pathOf('watch', 'ä/b'))).toEqual({ page: 'watch', room: 'ä/b' })
  })
  it('finds the token in whatever was pasted', () => {
    expect(tokenIn('#token=abc.def-_')).toBe('abc.def-_')
    expect(tokenIn('')).toBe('')
    expect(cleanToken('  Bearer abc\n')).toBe('abc')
    expect(cleanToken('https://n1.example/watch/demo#token=abc&x=1')).toBe('abc')
    expect(roomIn('https://n1.example/watch/physics%201#token=abc')).toBe('physics 1')
    expect(roomIn(' demo ')).toBe('demo')
  })
  it('moves the token out of the address', () => {
    const route = { page: 'watch', room: 'demo' }
    history.replaceState(null, '', '/watch/demo?x=1#token=abc')
    expect(takeToken(route, location, history, sessionStorage)).toBe('abc')
    expect(location.href).not.toContain('abc')
    expect(location.search).toBe('?x=1')
    expect(sessionStorage.getItem(keyOf(route))).toBe('abc')
    expect(takeToken(route, location, history, sessionStorage)).toBe('abc')
    expect(takeToken({ page: 'teach', room: 'demo' }, location, history, sessionStorage)).toBe('')
    expect(takeToken(route, location, history, null)).toBe('')
  })
})

describe('words', () => {
  it('has a sentence for every device fault and refusal', () => {
    for (const fault of ['insecure', 'unsupported', 'denied', 'missing', 'busy', 'cancelled', 'unknown'] as const) {
      expect(strings.fault('camera', fault)).toMatch(/\.$/)
    }
    for (const status of [400, 401, 403, 404, 409, 410, 429, 500, 503]) {
      expect(strings.refusal(status, '', true).length).toBeGreaterThan(10)
      expect(strings.refusal(status, '', false).length).toBeGreaterThan(10)
    }
    expect(strings.refusal(403, 'Room demo is not yours.', true)).toContain('(Room demo is not yours)')
    expect(strings.trouble({ kind: 'refused', status: 403, detail: '' }, false)).toContain('watch')
  })
  it('sorts what browsers throw', () => {
    const thrown = (name: string) => Object.assign(new Error('x'), { name })
    expect(faultOf(thrown('NotAllowedError'))).toBe('denied')
    expect(faultOf(thrown('NotFoundError'))).toBe('missing')
    expect(faultOf(thrown('NotReadableError'))).toBe('busy')
    expect(faultOf(new DeviceError('insecure'))).toBe('insecure')
    expect(faultOf(null)).toBe('unknown')
  })
})

describe('statistics', () => {
  const report = (id: string, type: string, rest: object) => ({ id, type, timestamp: 0, ...rest })
  it('reads what a student receives', () => {
    const picture = pictureOf(
      [
        report('v', 'inbound-rtp', { kind: 'video', bytesReceived: 1000, framesDecoded: 30, frameWidth: 1280, frameHeight: 720, framesPerSecond: 29 }),
        report('s', 'inbound-rtp', { kind: 'video', trackIdentifier: 's', bytesReceived: 500, framesDecoded: 4, frameWidth: 1920, frameHeight: 1080 }),
        report('a', 'inbound-rtp', { kind: 'audio', bytesReceived: 100, audioLevel: 0.25, packetsLost: -1 }),
        report('t', 'transport', { selectedCandidatePairId: 'p2' }),
        report('p1', 'candidate-pair', { currentRoundTripTime: 9, nominated: true, state: 'succeeded' }),
        report('p2', 'candidate-pair', { currentRoundTripTime: 0.042 }),
      ],
      7,
      's',
    )
    expect(picture).toMatchObject({ at: 7, bytes: 1600, framesDecoded: 34, screen: { framesDecoded: 4, width: 1920, height: 1080 }, width: 1280, height: 720, audioLevel: 0.25, rtt: 42, packetsLost: 0 })
  })
  it('reads what a teacher sends, smallest size first, and leaves out the sizes that rest', () => {
    const look = (at: number, q: number, f: number) =>
      outputOf(
        [
          report('f', 'outbound-rtp', { kind: 'video', rid: 'f', bytesSent: f, frameWidth: 1280, frameHeight: 720 }),
          report('q', 'outbound-rtp', { kind: 'video', rid: 'q', bytesSent: q, frameWidth: 320, frameHeight: 180 }),
          report('p', 'candidate-pair', { selected: true, bytesReceived: 5, responsesReceived: 2 }),
        ],
        at,
      )
    const sending = sendingOf(look(0, 0, 500), look(1000, 10_000, 500))
    expect(look(0, 0, 0).layers.map((layer) => layer.rid)).toEqual(['q', 'f'])
    expect(look(0, 0, 0).signs).toBe(7)
    expect(sending).toEqual([{ rid: 'q', width: 320, height: 180, framesPerSecond: 0, bitrate: 80_000 }])
  })
  it('computes rates', () => {
    expect(bitrate({ at: 0, bytes: 0 }, { at: 2000, bytes: 250_000 })).toBe(1_000_000)
    expect(bitrate({ at: 5, bytes: 0 }, { at: 5, bytes: 9 })).toBe(0)
    expect(bitrate({ at: 0, bytes: 9 }, { at: 5, bytes: 0 })).toBe(0)
  })
  it('draws loudness as the ear hears it', () => {
    expect(shown(0)).toBe(0)
    expect(shown(0.0001)).toBe(0)
    expect(shown(1)).toBe(1)
    expect(shown(0.1)).toBeCloseTo(2 / 3)
  })
})

describe('order', () => {
  it('puts VP8 first, then H.264, then their repair, and drops the rest', () => {
    const codec = (mimeType: string) => ({ mimeType, clockRate: 90000 })
    const sorted = order(['video/rtx', 'video/H264', 'video/AV1', 'video/VP8', 'video/red'].map(codec), ['video/vp8', 'video/h264'])
    expect(sorted.map((one) => one.mimeType)).toEqual(['video/VP8', 'video/H264', 'video/rtx'])
  })
})

describe('repairSound', () => {
  it('asks for repair of Opus once, whatever its number, and leaves the rest of the offer alone', () => {
    const plain = 'm=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n'
    const once = repairSound(plain)
    expect(once).toBe(plain.replace('opus/48000/2\r\n', 'opus/48000/2\r\na=rtcp-fb:111 nack\r\n'))
    expect(repairSound(once)).toBe(once)
    expect(repairSound('m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n')).toBe('m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n')
  })
})
