// The student's page.

import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { millis, nodeName, nodePlace, rate, size } from '../format'
import { expose } from '../hook'
import { realWorld, Seat, type Phase, type SeatState } from '../seat'
import { useStore } from '../store'
import type { Choice } from '../whep'
import { strings } from '../strings'
import { FullIcon, LeaveIcon, PlayIcon, SilentIcon, SmallIcon, SoundIcon } from '../ui/icons'
import { Announcer, Control, Fact, Facts, Header, Pill, type Tone } from '../ui/parts'
import { useIdle } from '../ui/idle'
import { useHurry, useWakeLock } from '../ui/wake'

const words = strings.watch

const tones: Record<Phase, Tone> = {
  idle: 'quiet',
  joining: 'busy',
  waiting: 'quiet',
  live: 'live',
  reconnecting: 'bad',
  ended: 'quiet',
}

/** Playing is what the browser lets us play: everything, a picture without sound, or nothing before a tap. */
type Playing = 'sound' | 'silent' | 'blocked'

/** Watch shows one room to one student. */
export function Watch({ room, token, onForget }: { room: string; token: string; onForget: () => void }) {
  const seat = useMemo(() => new Seat(location.origin, room, token, realWorld()), [room, token])
  const state = useStore(seat.store)
  const video = useRef<HTMLVideoElement>(null)
  const display = useRef<HTMLVideoElement>(null)
  const [swapped, setSwapped] = useState(false)
  const stage = useRef<HTMLDivElement>(null)
  const [playing, setPlaying] = useState<Playing>('sound')
  const [muted, setMuted] = useState(false)
  const [volume, setVolume] = useState(1)
  const [full, setFull] = useState(false)
  const idle = useIdle()

  useEffect(() => {
    seat.start()
    const away = (event: PageTransitionEvent) => {
      const watching = seat.watching
      seat.leave()
      // The page is kept for the "back" button: whoever returns to it goes on.
      if (event.persisted && watching) window.addEventListener('pageshow', () => seat.start(), { once: true })
    }
    window.addEventListener('pagehide', away)
    return () => {
      window.removeEventListener('pagehide', away)
      seat.leave()
    }
  }, [seat])

  useHurry(useCallback(() => seat.hurry(), [seat]))
  useWakeLock(state.phase === 'live' || state.phase === 'waiting')

  // Each session brings its own MediaStream. Playing with sound is tried first, then without: a moving picture with an
  // invitation is better than a black one.
  useEffect(() => {
    const element = video.current
    if (!element) return
    element.srcObject = state.stream
    if (!state.stream) return
    let over = false
    const play = async () => {
      try {
        await element.play()
        if (!over && !element.muted) setPlaying('sound')
      } catch (error) {
        if (over || (error as Error).name === 'AbortError') return
        if (element.muted) return setPlaying('blocked')
        element.muted = true
        setPlaying('silent')
        void play()
      }
    }
    void play()
    return () => {
      over = true
    }
  }, [state.stream])

  // The screen's own sound follows that of the class, and its picture never waits for the permission to be heard.
  useEffect(() => {
    const element = display.current
    if (element) element.srcObject = state.screen
  }, [state.screen])
  useEffect(() => {
    const element = display.current
    if (!element) return
    element.muted = muted || playing !== 'sound'
    element.volume = volume
    if (state.screen) {
      element.play().catch(() => {
        element.muted = true
        element.play().catch(() => undefined) // the class itself asks for the tap that is missing
      })
    }
  }, [state.screen, state.sharing, muted, playing, volume])

  const toggleSound = useCallback(() => {
    const element = video.current
    if (!element) return
    if (playing !== 'sound') {
      element.muted = false
      setMuted(false)
      setPlaying('sound')
      element.play().catch(() => {
        // The browser did not take this for a person's tap: go on without sound rather than stand still.
        element.muted = true
        setPlaying('silent')
        element.play().catch(() => setPlaying('blocked'))
      })
      return
    }
    element.muted = !element.muted
    setMuted(element.muted)
  }, [playing])

  const changeVolume = (value: number) => {
    const element = video.current
    if (!element) return
    element.volume = value
    setVolume(value)
    if (value > 0 && (element.muted || playing !== 'sound')) toggleSound()
  }

  const toggleFull = useCallback(() => {
    if (document.fullscreenElement) return void document.exitFullscreen().catch(() => undefined)
    const box = stage.current
    if (box?.requestFullscreen) return void box.requestFullscreen({ navigationUI: 'hide' }).catch(() => undefined)
    // On an iPhone only the video element itself can fill the screen.
    ;(video.current as (HTMLVideoElement & { webkitEnterFullscreen?: () => void }) | null)?.webkitEnterFullscreen?.()
  }, [])

  useEffect(() => {
    const changed = () => setFull(document.fullscreenElement !== null)
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest('input:not([type=range]), textarea, select')) return
      if (event.key === 'm' || event.key === 'M') toggleSound()
      if (event.key === 'f' || event.key === 'F') toggleFull()
      if (event.key === 's' || event.key === 'S') setSwapped((was) => !was)
    }
    document.addEventListener('fullscreenchange', changed)
    document.addEventListener('keydown', pressed)
    return () => {
      document.removeEventListener('fullscreenchange', changed)
      document.removeEventListener('keydown', pressed)
    }
  }, [toggleSound, toggleFull])

  const title = state.title || room
  const silent = muted || playing !== 'sound'
  useMediaSession(title, state.phase === 'live')
  // A class can have a screen and no camera: then nothing black lies over it.
  const both = state.sharing && (state.picture?.width ?? 0) > 0
  const large = state.sharing && !(both && swapped) ? 'screen' : 'camera'
  const place = (which: 'camera' | 'screen') => (which === large ? 'large' : both ? 'small' : 'gone')
  const dimmed = state.phase === 'live' ? '' : ' dimmed'
  useDiagnosis(state, room, silent, large)

  const announcement = useAnnouncement(state)
  const failed = state.phase === 'ended' && state.trouble !== null && state.trouble.kind !== 'left'
  const active = state.phase !== 'ended' && state.phase !== 'idle'

  return (
    <div class="page page-room">
      <Header title={title}>
        <Pill tone={failed ? 'bad' : tones[state.phase]}>{failed ? strings.status.failed : strings.status[state.phase]}</Pill>
      </Header>
      <main class="room">
        <div class="room-main">
          <div class={idle ? 'player player-idle' : 'player'} ref={stage}>
            <div class={`stage${state.phase === 'live' ? '' : ' stage-words'}${both ? ' stage-two' : ''}`}>
              <video ref={video} id="teacher" playsInline autoPlay aria-label={words.camera} class={place('camera') + dimmed} />
              <video ref={display} id="display" playsInline autoPlay aria-label={words.display} class={place('screen') + dimmed} />
              {both && (
                <button type="button" id="swap" class="swap" aria-keyshortcuts="s" aria-label={large === 'screen' ? words.largeCamera : words.largeDisplay} title={large === 'screen' ? words.largeCamera : words.largeDisplay} onClick={() => setSwapped(!swapped)} />
              )}
              <Overlay state={state} playing={playing} onSound={toggleSound} onAgain={() => seat.start()} onForget={onForget} />
            </div>
            {active && (
              <div class="bar" role="group" aria-label={words.video}>
                <Control id="mute" keys="m" off={silent} label={silent ? words.unmute : words.mute} onClick={toggleSound}>
                  {silent ? <SilentIcon /> : <SoundIcon />}
                </Control>
                <input
                  id="volume"
                  class="volume"
                  type="range"
                  min="0"
                  max="1"
                  step="0.05"
                  value={silent ? 0 : volume}
                  aria-label={words.volume}
                  onInput={(event) => changeVolume(Number(event.currentTarget.value))}
                />
                <span class="bar-space" />
                <Control id="fullscreen" keys="f" label={full ? words.exitFullscreen : words.fullscreen} onClick={toggleFull}>
                  {full ? <SmallIcon /> : <FullIcon />}
                </Control>
                <Control id="leave" label={words.leave} onClick={() => seat.leave()}>
                  <LeaveIcon />
                </Control>
              </div>
            )}
          </div>
        </div>
        <aside class="side">
          <Connection state={state} onChoose={(choice) => seat.choose(choice)} />
          <p class="hint shortcuts">{words.shortcuts}</p>
        </aside>
      </main>
      <Announcer text={announcement} />
    </div>
  )
}

/** Overlay is what lies over the picture when there is something to say or to press. */
function Overlay(props: { state: SeatState; playing: Playing; onSound: () => void; onAgain: () => void; onForget: () => void }) {
  const { state, playing } = props
  const { phase, trouble } = state
  if (phase === 'ended' || phase === 'idle') {
    const bad = trouble && trouble.kind !== 'left'
    return (
      <div class="overlay">
        <h2>{bad ? words.failed : words.left}</h2>
        {trouble && <p id="problem">{strings.trouble(trouble, false)}</p>}
        <div class="buttons">
          <button type="button" class="button button-main" id="again" onClick={props.onAgain}>
            {words.again}
          </button>
          {bad && (
            <button type="button" class="button" onClick={props.onForget}>
              {words.otherToken}
            </button>
          )}
        </div>
      </div>
    )
  }
  if (phase === 'joining' || phase === 'reconnecting') {
    return (
      <div class="overlay">
        <span class="spinner" aria-hidden="true" />
        <h2>{phase === 'joining' ? words.joining : words.reconnecting}</h2>
        {trouble && <p id="problem">{strings.trouble(trouble, false)}</p>}
      </div>
    )
  }
  const tap = playing !== 'sound' && (
    <button type="button" class="button button-main button-big" id="join" onClick={props.onSound}>
      <PlayIcon />
      {words.join}
    </button>
  )
  if (phase === 'waiting') {
    return (
      <div class="overlay">
        <span class="waiting" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        <h2>{state.seen ? words.paused : words.waiting}</h2>
        <p>{state.seen ? words.pausedHint : words.waitingHint}</p>
        {tap}
      </div>
    )
  }
  if (state.choice === 'audio' || state.showing === 'audio-only') {
    return (
      <div class="overlay" id="sound-only">
        <h2>{words.soundOnly}</h2>
        <p>{state.choice === 'audio' ? words.soundOnlyChosen : words.soundOnlyNetwork}</p>
        {tap}
      </div>
    )
  }
  return tap ? <div class="overlay overlay-clear">{tap}</div> : null
}

/** Connection tells which node serves and how well. */
function Connection({ state, onChoose }: { state: SeatState; onChoose: (choice: Choice) => void }) {
  const { node, picture, phase } = state
  const live = phase === 'live' && picture
  const place = node ? nodePlace(node) : ''
  return (
    <section class="card" aria-labelledby="connection-title">
      <h2 id="connection-title">{words.connection}</h2>
      <Facts>
        <Fact name={words.servedBy} id="node">
          {node ? nodeName(node) : words.none}
        </Fact>
        {place && <Fact name={words.location}>{place}</Fact>}
        <Fact name={words.roundTrip}>{picture && phase !== 'reconnecting' && picture.rtt !== null ? millis(picture.rtt) : words.none}</Fact>
        <Fact name={words.picture}>
          {live && picture.width > 0 ? (
            <>
              {size(picture.width, picture.height)} <small>{words.perSecond(picture.framesPerSecond)}</small>
            </>
          ) : (
            words.none
          )}
        </Fact>
        {live && state.sharing && (
          <Fact name={words.displayFact} id="screen-size">
            {size(picture.screen.width, picture.screen.height)}
          </Fact>
        )}
        <Fact name={words.rate}>{live && state.bitrate > 0 ? rate(state.bitrate) : words.none}</Fact>
        <Fact name={words.choice}>
          <select id="choice" aria-label={words.choice} value={state.choice} onChange={(event) => onChoose(event.currentTarget.value as Choice)}>
            {Object.entries(words.choices).map(([choice, label]) => (
              <option key={choice} value={choice}>
                {label}
              </option>
            ))}
          </select>
        </Fact>
        {state.moves > 0 && <Fact name={words.moves}>{words.movesValue(state.moves)}</Fact>}
        {node && (state.why || state.moves > 0) && (
          <Fact name={words.why} wide id="why">
            {state.why || words.whyMoved}
          </Fact>
        )}
      </Facts>
    </section>
  )
}

function useMediaSession(title: string, live: boolean): void {
  useEffect(() => {
    if (!('mediaSession' in navigator)) return
    document.title = `${title} · ${strings.name}`
    navigator.mediaSession.metadata = new MediaMetadata({ title, artist: strings.name })
    navigator.mediaSession.playbackState = live ? 'playing' : 'none'
  }, [title, live])
}

/** useAnnouncement is the sentence for screen readers; it changes only when something happened. */
function useAnnouncement(state: SeatState): string {
  const before = useRef<Phase>('idle')
  const shared = useRef(false)
  const [text, setText] = useState('')
  useEffect(() => {
    const was = before.current
    if (was === state.phase) return
    before.current = state.phase
    if (state.phase === 'waiting') setText(state.seen ? words.paused : words.waiting)
    else setText(was === 'reconnecting' && state.phase === 'live' ? words.resumed : strings.status[state.phase])
  }, [state.phase, state.seen])
  useEffect(() => {
    if (shared.current === state.sharing) return
    shared.current = state.sharing
    if (state.phase === 'live') setText(state.sharing ? words.displayBegins : words.displayEnds)
  }, [state.sharing, state.phase])
  return text
}

function useDiagnosis(state: SeatState, room: string, muted: boolean, large: string): void {
  useEffect(() => {
    expose(() => ({
      page: 'watch',
      room,
      status: state.phase,
      node: state.node ? state.node.id || state.node.url : '',
      nodeUrl: state.node?.url ?? '',
      why: state.why,
      framesDecoded: state.picture?.framesDecoded ?? 0,
      audioLevel: state.picture?.audioLevel ?? 0,
      width: state.picture?.width ?? 0,
      height: state.picture?.height ?? 0,
      bitrate: Math.round(state.bitrate),
      rtt: state.picture?.rtt ?? 0,
      moves: state.moves,
      showing: state.choice === 'audio' ? 'audio-only' : state.showing,
      screen: state.sharing ? 'live' : 'off',
      screenWidth: state.picture?.screen.width ?? 0,
      screenFrames: state.picture?.screen.framesDecoded ?? 0,
      large,
      muted,
      error: state.trouble && state.trouble.kind !== 'left' ? strings.trouble(state.trouble, false) : '',
    }))
  }, [state, room, muted, large])
}
