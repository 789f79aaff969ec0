// How loud the microphone is.

/** Meter measures a microphone's level from 0 (silence) to 1 (full scale). */
export class Meter {
  private context: AudioContext | null = null
  private source: MediaStreamAudioSourceNode | null = null
  private analyser: AnalyserNode | null = null
  private samples = new Float32Array(new ArrayBuffer(0))

  /** listen measures this track from now on; null stops. */
  listen(track: MediaStreamTrack | null): void {
    this.source?.disconnect()
    this.source = null
    if (!track || typeof AudioContext === 'undefined') return
    this.context ??= new AudioContext()
    if (!this.analyser) {
      this.analyser = this.context.createAnalyser()
      this.analyser.fftSize = 1024
      this.samples = new Float32Array(new ArrayBuffer(this.analyser.fftSize * 4))
    }
    this.source = this.context.createMediaStreamSource(new MediaStream([track]))
    this.source.connect(this.analyser)
    void this.context.resume().catch(() => undefined)
  }

  /** level is the loudness now, root mean square. */
  level(): number {
    if (!this.source || !this.analyser) return 0
    this.analyser.getFloatTimeDomainData(this.samples)
    let sum = 0
    for (const sample of this.samples) sum += sample * sample
    return Math.sqrt(sum / this.samples.length)
  }

  close(): void {
    this.listen(null)
    void this.context?.close().catch(() => undefined)
    this.context = null
    this.analyser = null
  }
}

/** shown maps a level to the length of a bar, 0 to 1, as the ear would: 60 dB below full scale is nothing. */
export function shown(level: number): number {
  if (level <= 0) return 0
  return Math.min(1, Math.max(0, 1 + (20 * Math.log10(level)) / 60))
}
