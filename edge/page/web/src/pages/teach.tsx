// The teacher's page.

import type { RefObject } from 'preact'
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { clock, millis, nodeName, nodePlace, rate, size } from '../format'
import { expose } from '../hook'
import { mayAlready, type Device, type Fault } from '../media'
import { shown } from '../meter'
import type { Trouble } from '../seat'
import { useStore } from '../store'
import { strings } from '../strings'
import { Teacher, type Airing, type Source, type TeacherState } from '../teacher'
import { CameraIcon, CameraOffIcon, MicIcon, MicOffIcon, ScreenIcon } from '../ui/icons'
import { Announcer, Control, Fact, Facts, Header, Note, Pill, type Tone } from '../ui/parts'
import { useHurry, useWakeLock } from '../ui/wake'
import { layers } from '../whip'

const words = strings.teach

const tones: Record<Airing, Tone> = { off: 'quiet', connecting: 'busy', live: 'live', reconnecting: 'bad', failed: 'bad' }

/** Teach lets one teacher publish into one room. */
export function Teach({ room, token, onForget }: { room: string; token: string; onForget: () => void }) {
  const teacher = useMemo(() => new Teacher(location.origin, room, token), [room, token])
  const state = useStore(teacher.store)
  const [asking, setAsking] = useState(false)

  const prepare = useCallback(async () => {
    setAsking(true)
    await teacher.prepare()
    setAsking(false)
  }, [teacher])

  useEffect(() => {
    void mayAlready().then((yes) => {
      if (yes) void prepare()
    })
    const away = () => teacher.close()
    // The "back" button may show a kept page, whose devices and session are gone.
    const back = (event: PageTransitionEvent) => {
      if (event.persisted) location.reload()
    }
    window.addEventListener('pagehide', away)
    window.addEventListener('pageshow', back)
    return () => {
      window.removeEventListener('pagehide', away)
      window.removeEventListener('pageshow', back)
      teacher.close()
    }
  }, [teacher, prepare])

  const onAir = state.airing === 'live' || state.airing === 'reconnecting'
  useEffect(() => {
    if (!onAir) return
    // Closing the tab by mistake would end the class of everybody.
    const warn = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', warn)
    return () => window.removeEventListener('beforeunload', warn)
  }, [onAir])

  useHurry(useCallback(() => teacher.hurry(), [teacher]))
  useWakeLock(onAir)
  useDiagnosis(teacher, state, room)
  const elapsed = useElapsed(state.since)
  const title = state.title || room
  const ready = state.preview !== null || state.screen !== null || state.hasMicrophone
  const busy = state.airing !== 'off' && state.airing !== 'failed'

  return (
    <div class="page page-room">
      <Header title={title}>
        <Pill tone={tones[state.airing]}>
          {state.airing === 'failed' ? strings.status.failed : strings.status[state.airing]}
          {onAir && state.since > 0 && <span class="pill-time">{elapsed}</span>}
        </Pill>
      </Header>
      <main class="room">
        <div class="room-main">
          <div class={state.screen ? 'stage stage-teach stage-two' : 'stage stage-teach'}>
            {state.screen && <Preview stream={state.screen} label={words.screenPreview} class="large" />}
            <Preview stream={state.preview} label={words.preview} class={state.screen ? (state.preview ? 'mirror small' : 'gone') : 'mirror large'} />
            {!ready && (
              <div class="overlay">
                <h2>{words.empty}</h2>
                <p>{words.emptyHint}</p>
                <button type="button" class="button button-main" id="prepare" disabled={asking} onClick={() => void prepare()}>
                  {words.prepare}
                </button>
              </div>
            )}
            {state.preview && !state.screen && !state.cameraOn && (
              <div class="overlay">
                <h2>{words.cameraIsOff}</h2>
              </div>
            )}
            {state.screen && <p class="badge">{words.sharing[state.sharing]}</p>}
          </div>
          <div class="deck">
            <div class="deck-tools">
              <Control id="mic" off={!state.microphoneOn} disabled={!state.hasMicrophone} label={state.microphoneOn ? words.mute : words.unmute} onClick={() => teacher.toggleMicrophone()}>
                {state.microphoneOn ? <MicIcon /> : <MicOffIcon />}
              </Control>
              <Control id="cam" off={!state.cameraOn} disabled={state.preview === null} label={state.cameraOn ? words.cameraOff : words.cameraOn} onClick={() => teacher.toggleCamera()}>
                {state.cameraOn ? <CameraIcon /> : <CameraOffIcon />}
              </Control>
              <Control id="screen" pressed={state.screen !== null} label={state.screen ? words.unshare : words.share} text={state.screen ? words.unshare : words.share} onClick={() => void teacher.toggleScreen()}>
                <ScreenIcon />
              </Control>
            </div>
            {busy ? (
              <button type="button" class="button button-stop button-big" id="stop" onClick={() => teacher.stop()}>
                {onAir ? words.stop : words.cancel}
              </button>
            ) : (
              <button type="button" class="button button-live button-big" id="go-live" onClick={() => void teacher.goLive()}>
                {words.goLive}
              </button>
            )}
          </div>
          {faultsOf(state).map(([source, fault]) => (
            <Note key={source} id={`fault-${source}`}>
              {strings.fault(source, fault)}{' '}
              {fault !== 'insecure' && fault !== 'unsupported' && (
                <button type="button" class="link" onClick={() => void teacher.retry(source)}>
                  {words.retry}
                </button>
              )}
            </Note>
          ))}
          {state.trouble && (
            <Note id="problem">
              {strings.trouble(state.trouble, true)}{' '}
              {state.airing === 'failed' && state.trouble.kind === 'refused' && state.trouble.status !== 409 && (
                <button type="button" class="link" onClick={onForget}>
                  {strings.watch.otherToken}
                </button>
              )}
            </Note>
          )}
          {state.screenTrouble && <Note id="screen-problem">{screenTrouble(state.screenTrouble)}</Note>}
        </div>
        <aside class="side">
          {busy && <Class state={state} elapsed={elapsed} />}
          <Sources teacher={teacher} state={state} />
        </aside>
      </main>
      <Announcer text={state.moves > 0 && state.airing === 'live' ? words.moved : strings.status[state.airing]} />
    </div>
  )
}

function faultsOf(state: TeacherState): [Source, Fault][] {
  return Object.entries(state.faults) as [Source, Fault][]
}

/** screenTrouble is why the screen can not be shared while the class goes on. */
function screenTrouble(trouble: Trouble): string {
  return trouble.kind === 'refused' && trouble.status === 409 ? words.screenOccupied : strings.trouble(trouble, true)
}

/** Preview is what the teacher sees of what is sent. A person expects a mirror of themselves, but text must be readable. */
function Preview(props: { stream: MediaStream | null; label: string; class: string }) {
  const { stream } = props
  const video = useRef<HTMLVideoElement>(null)
  useEffect(() => {
    const element = video.current
    if (!element) return
    element.srcObject = stream
    if (stream) element.play().catch(() => undefined)
  }, [stream])
  return <video ref={video} muted playsInline autoPlay aria-label={props.label} class={props.class} />
}

/** Class shows how the class goes out. */
function Class({ state, elapsed }: { state: TeacherState; elapsed: string }) {
  const { node } = state
  const place = node ? nodePlace(node) : ''
  const none = strings.watch.none
  const display = state.screenLayers.at(-1)
  return (
    <section class="card" aria-labelledby="class-title">
      <h2 id="class-title">{words.class}</h2>
      <Facts>
        <Fact name={words.students} id="students">
          {state.students ?? none}
        </Fact>
        <Fact name={words.time}>{state.since > 0 ? elapsed : none}</Fact>
        <Fact name={words.servedBy} id="node">
          {node ? nodeName(node) : none} {place && <small>{place}</small>}
        </Fact>
        <Fact name={words.roundTrip}>{state.rtt === null ? none : millis(state.rtt)}</Fact>
        <Fact name={words.rate}>{state.bitrate > 0 ? rate(state.bitrate) : none}</Fact>
        {state.screen && (
          <Fact name={words.screenFact} id="screen-size">
            {display ? `${size(display.width, display.height)}, ${rate(display.bitrate)}` : none}
          </Fact>
        )}
      </Facts>
      <h3>{words.layers}</h3>
      <ul class="layers">
        {layers.map(({ rid = '' }) => {
          const layer = state.layers.find((sending) => sending.rid === rid)
          return (
            <li key={rid} class={layer ? 'layer layer-on' : 'layer'}>
              <span class="dot" aria-hidden="true" />
              <span>{words.layerName[rid] ?? rid}</span>
              <small>{layer ? `${size(layer.width, layer.height)}, ${rate(layer.bitrate)}` : words.layerIdle}</small>
            </li>
          )
        })}
      </ul>
      <p class="hint">{words.layersHint}</p>
    </section>
  )
}

/** Sources chooses camera and microphone. */
function Sources({ teacher, state }: { teacher: Teacher; state: TeacherState }) {
  const { devices } = state
  return (
    <section class="card" aria-labelledby="sources-title">
      <h2 id="sources-title">{words.sources}</h2>
      <Picker id="camera" name={words.camera} list={devices.cameras} chosen={state.camera} unnamed={words.unnamedCamera} onPick={(id) => void teacher.useCamera(id)} />
      <Picker id="microphone" name={words.microphone} list={devices.microphones} chosen={state.microphone} unnamed={words.unnamedMicrophone} onPick={(id) => void teacher.useMicrophone(id)} />
      <Level teacher={teacher} state={state} />
    </section>
  )
}

function Picker(props: { id: string; name: string; list: Device[]; chosen: string; unnamed: (index: number) => string; onPick: (id: string) => void }) {
  return (
    <label class="field">
      <span>{props.name}</span>
      <select id={props.id} value={props.chosen} disabled={props.list.length === 0} onChange={(event) => props.onPick(event.currentTarget.value)}>
        {props.list.length === 0 && <option value="">{words.noDevice}</option>}
        {props.list.map((device, index) => (
          <option key={device.id} value={device.id}>
            {device.label || props.unnamed(index + 1)}
          </option>
        ))}
      </select>
    </label>
  )
}

/** Level is the bar that moves with the voice, with words for those who do not see it. */
function Level({ teacher, state }: { teacher: Teacher; state: TeacherState }) {
  const bar = useRef<HTMLSpanElement>(null)
  useLevel(teacher, bar)
  return (
    <div class="level">
      <span class="level-name">{words.level}</span>
      <span class="level-track" aria-hidden="true">
        <span class="level-bar" ref={bar} />
      </span>
      {!state.hasMicrophone ? <small>{words.levelNone}</small> : !state.microphoneOn && <small>{words.levelMuted}</small>}
    </div>
  )
}

/** useLevel moves the bar some ten times a second, past the component tree: nothing else changes. */
function useLevel(teacher: Teacher, bar: RefObject<HTMLSpanElement | null>): void {
  useEffect(() => {
    const timer = setInterval(() => {
      if (bar.current) bar.current.style.inlineSize = `${Math.round(shown(teacher.meter.level()) * 100)}%`
    }, 90)
    return () => clearInterval(timer)
  }, [teacher, bar])
}

function useElapsed(since: number): string {
  const [now, setNow] = useState(0)
  useEffect(() => {
    if (since === 0) return
    const tick = () => setNow(performance.now())
    tick()
    const timer = setInterval(tick, 1000)
    return () => clearInterval(timer)
  }, [since])
  return clock(now - since)
}

function useDiagnosis(teacher: Teacher, state: TeacherState, room: string): void {
  useEffect(() => {
    const full = state.layers.at(-1)
    expose(() => ({
      page: 'teach',
      room,
      status: state.airing,
      node: state.node ? state.node.id || state.node.url : '',
      nodeUrl: state.node?.url ?? '',
      framesEncoded: state.framesEncoded,
      audioLevel: teacher.meter.level(),
      width: full?.width ?? 0,
      height: full?.height ?? 0,
      bitrate: Math.round(state.bitrate),
      rtt: state.rtt ?? 0,
      moves: state.moves,
      screen: state.sharing,
      screenWidth: state.screenLayers.at(-1)?.width ?? 0,
      screenFrames: state.screenFrames,
      screenLayers: state.screenLayers.map((layer) => layer.rid),
      muted: !state.microphoneOn,
      layers: state.layers.map((layer) => layer.rid),
      students: state.students ?? 0,
      error: state.trouble
        ? strings.trouble(state.trouble, true)
        : faultsOf(state)
            .map(([source, fault]) => strings.fault(source, fault))
            .join(' '),
    }))
  }, [teacher, state, room])
}
