// The teacher's camera, microphone and screen.

/** Fault is why a device could not be used, in a form that strings.ts turns into words. */
export type Fault = 'insecure' | 'unsupported' | 'denied' | 'missing' | 'busy' | 'cancelled' | 'unknown'

/** Devices are what can be chosen. */
export interface Devices {
  cameras: Device[]
  microphones: Device[]
}

export interface Device {
  id: string
  label: string
}

/** DeviceError carries a Fault. */
export class DeviceError extends Error {
  constructor(
    readonly fault: Fault,
    cause?: unknown,
  ) {
    super(fault, { cause })
    this.name = 'DeviceError'
  }
}

/** faultOf sorts what getUserMedia and getDisplayMedia throw. */
export function faultOf(error: unknown): Fault {
  if (error instanceof DeviceError) return error.fault
  switch ((error as { name?: string } | null)?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'denied'
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing'
    case 'NotReadableError':
    case 'AbortError':
      return 'busy'
    default:
      return 'unknown'
  }
}

/** cameraTrack opens a camera; the preferred one when it is still there. */
export async function cameraTrack(id: string): Promise<MediaStreamTrack> {
  const stream = await devices().getUserMedia({
    video: {
      ...(id ? { deviceId: { exact: id } } : { facingMode: 'user' }),
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30, max: 30 },
    },
  })
  const track = first(stream.getVideoTracks())
  // A person who moves: keep the motion, give up sharpness first.
  track.contentHint = 'motion'
  return track
}

/** microphoneTrack opens a microphone, tuned for one voice in a room. */
export async function microphoneTrack(id: string): Promise<MediaStreamTrack> {
  const stream = await devices().getUserMedia({
    audio: {
      ...(id ? { deviceId: { exact: id } } : {}),
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      channelCount: { ideal: 1 },
    },
  })
  const track = first(stream.getAudioTracks())
  track.contentHint = 'speech'
  return track
}

/** Screen is what getDisplayMedia gave: a picture, and the sound of a tab or system where the teacher chose to share it. */
export interface Screen {
  video: MediaStreamTrack
  audio: MediaStreamTrack | null
}

/** openScreen lets the teacher choose a screen, window or tab. */
export async function openScreen(): Promise<Screen> {
  const from = devices()
  if (typeof from.getDisplayMedia !== 'function') throw new DeviceError('unsupported')
  let stream: MediaStream
  try {
    stream = await from.getDisplayMedia({
      video: { frameRate: { ideal: 15, max: 15 }, width: { max: 1920 }, height: { max: 1080 } },
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    })
  } catch (error) {
    // Closing the chooser and a forbidden page look the same; the chooser is by far the likelier.
    throw new DeviceError(faultOf(error) === 'denied' ? 'cancelled' : faultOf(error), error)
  }
  const video = first(stream.getVideoTracks())
  // Text must stay readable: keep sharpness, give up motion first.
  video.contentHint = 'detail'
  const audio = stream.getAudioTracks()[0] ?? null
  if (audio) audio.contentHint = 'music'
  return { video, audio }
}

/** listDevices names the cameras and microphones. Labels are empty until the permission is given. */
export async function listDevices(): Promise<Devices> {
  const all = await devices().enumerateDevices()
  const of = (kind: MediaDeviceKind) =>
    all.filter((device) => device.kind === kind && device.deviceId !== '').map(({ deviceId, label }) => ({ id: deviceId, label }))
  return { cameras: of('videoinput'), microphones: of('audioinput') }
}

/** onDevices calls back when something was plugged in or out; the answer stops it. */
export function onDevices(listener: () => void): () => void {
  navigator.mediaDevices?.addEventListener?.('devicechange', listener)
  return () => navigator.mediaDevices?.removeEventListener?.('devicechange', listener)
}

/** mayAlready tells whether the permission is there, so that opening the camera asks nothing. */
export async function mayAlready(): Promise<boolean> {
  try {
    const status = await navigator.permissions.query({ name: 'camera' as PermissionName })
    return status.state === 'granted'
  } catch {
    return false
  }
}

function devices(): MediaDevices {
  if (!window.isSecureContext) throw new DeviceError('insecure')
  if (!navigator.mediaDevices?.getUserMedia) throw new DeviceError('unsupported')
  return navigator.mediaDevices
}

function first(tracks: MediaStreamTrack[]): MediaStreamTrack {
  const track = tracks[0]
  if (!track) throw new DeviceError('missing')
  return track
}
