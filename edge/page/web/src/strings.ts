// Every word that the pages show. A translation is another object of this shape.

import type { Fault } from './media'
import type { Trouble } from './seat'

const number = new Intl.NumberFormat('en')

export const strings = {
  name: 'Lyceum',
  incomplete: 'This page did not arrive whole: the node or your network failed.',
  reload: 'Load it again',

  status: {
    idle: 'Not joined',
    joining: 'Joining',
    waiting: 'Waiting',
    live: 'Live',
    reconnecting: 'Reconnecting',
    ended: 'Left',
    failed: 'Not connected',
    off: 'Not live',
    connecting: 'Going live',
  },

  landing: {
    title: 'Live classes, near every student',
    lead: 'A teacher publishes once, at a nearby node. The class travels from node to node, and each student watches at the one closest to them. You have reached one of these nodes.',
    enter: 'Enter a class',
    room: 'Room',
    roomHint: 'Its name, or a link that you were sent',
    token: 'Access token',
    tokenHint: 'It stays in this tab and is never part of the address',
    role: 'I am here to',
    watch: 'Watch',
    teach: 'Teach',
    go: 'Enter',
    roomMissing: 'Enter the name of the room.',
    tokenMissing: 'Enter the token that you were given for this room.',
    operator: 'For operators',
    operatorText: 'Rooms and tokens are made on the command line of any node:',
    openRoom: 'open a room',
    makeToken: 'print a token for a teacher or a class',
    listNodes: 'see the nodes of this mesh',
  },

  gate: {
    watchTitle: (room: string) => `Watch ${room}`,
    teachTitle: (room: string) => `Teach ${room}`,
    lead: 'This link carries no access token. Open the whole link that you were sent, or paste the token here.',
    token: 'Access token or whole link',
    go: 'Continue',
  },

  watch: {
    video: 'The class',
    camera: 'The teacher',
    display: 'The shared screen',
    displayBegins: 'The teacher shares a screen.',
    displayEnds: 'The screen is no longer shared.',
    largeCamera: 'Show the teacher large',
    largeDisplay: 'Show the screen large',
    displayFact: 'Screen',
    join: 'Join with sound',
    waiting: 'The class has not started yet',
    waitingHint: 'Stay here: picture and sound begin by themselves.',
    paused: 'The teacher is away for the moment',
    pausedHint: 'Stay here: picture and sound return by themselves.',
    joining: 'Finding the node nearest to you…',
    reconnecting: 'The connection was lost. Finding another way…',
    resumed: 'You are back in the class.',
    left: 'You left the class',
    failed: 'You cannot watch right now',
    again: 'Join again',
    otherToken: 'Use another token',
    mute: 'Mute',
    unmute: 'Unmute',
    volume: 'Volume',
    fullscreen: 'Full screen',
    exitFullscreen: 'Leave full screen',
    leave: 'Leave',
    connection: 'Your connection',
    servedBy: 'Served by',
    location: 'Location',
    why: 'Why this node',
    whyMoved: 'The node before it stopped answering, and this one is next on your list.',
    roundTrip: 'Round trip',
    picture: 'Picture',
    rate: 'Data rate',
    choice: 'What you get',
    choices: { auto: 'Best picture', saver: 'Save data', audio: 'Sound only' } as Record<string, string>,
    soundOnly: 'Sound only',
    soundOnlyNetwork: 'Your network is too slow for a picture now. It returns by itself.',
    soundOnlyChosen: 'You chose to hear the class without its picture.',
    moves: 'Moves',
    movesValue: (count: number) => (count === 1 ? 'moved once' : `moved ${number.format(count)} times`),
    shortcuts: 'Keyboard: M for sound, F for full screen, S to exchange screen and teacher',
    none: '–',
    perSecond: (frames: number) => `${Math.round(frames)} fps`,
  },

  teach: {
    preview: 'Your picture',
    empty: 'No picture yet',
    emptyHint: 'Turn on your camera and microphone to see what students will see.',
    prepare: 'Turn on camera and microphone',
    goLive: 'Go live',
    stop: 'End class',
    cancel: 'Cancel',
    mute: 'Mute microphone',
    unmute: 'Unmute microphone',
    cameraOff: 'Camera off',
    cameraOn: 'Camera on',
    share: 'Share screen',
    unshare: 'Stop sharing',
    cameraIsOff: 'Your camera is off',
    screenPreview: 'Your screen',
    sharing: { off: 'Students see your screen once you go live', connecting: 'Your screen is on its way', live: 'You are sharing your screen', reconnecting: 'Your screen was lost and is being brought back' } as Record<string, string>,
    screenFact: 'Screen',
    screenOccupied: 'Another screen is being shared in this room. Stop that one, then share yours again.',
    sources: 'Camera and sound',
    camera: 'Camera',
    microphone: 'Microphone',
    unnamedCamera: (index: number) => `Camera ${index}`,
    unnamedMicrophone: (index: number) => `Microphone ${index}`,
    noDevice: 'None found',
    level: 'Sound level',
    levelMuted: 'Your microphone is muted: students hear nothing.',
    levelNone: 'No microphone is on.',
    class: 'The class',
    time: 'Time',
    students: 'Students',
    servedBy: 'Published at',
    rate: 'Data rate',
    roundTrip: 'Round trip',
    layers: 'Sizes sent',
    layersHint: 'Each student gets the size that their line carries. A size that nobody wants is not sent on.',
    layerName: { q: 'Small', h: 'Medium', f: 'Full' } as Record<string, string>,
    layerIdle: 'off',
    moved: 'The connection was lost and is back; your class goes on.',
    retry: 'Try again',
    leaveWarning: 'Your class is live.',
  },

  /** faults are problems with a device. */
  fault(device: 'camera' | 'microphone' | 'screen', fault: Fault): string {
    const it = { camera: 'camera', microphone: 'microphone', screen: 'screen' }[device]
    switch (fault) {
      case 'insecure':
        return `Browsers allow the ${it} only on secure pages. Open this page by https, or on this computer by http://localhost.`
      case 'unsupported':
        return device === 'screen' ? 'This browser cannot share a screen.' : `This browser cannot use a ${it}.`
      case 'denied':
        return `You have not allowed the ${it}. Allow it beside the address of this page, then try again.`
      case 'missing':
        return `No ${it} was found. Connect one, or choose another.`
      case 'busy':
        return `The ${it} is in use by another program. Close that program, then try again.`
      case 'cancelled':
        return 'Nothing was chosen.'
      default:
        return `The ${it} could not be opened.`
    }
  },

  /** trouble is why there is no connection. `teacher` chooses whom it speaks to. */
  trouble(trouble: Trouble, teacher: boolean): string {
    switch (trouble.kind) {
      case 'left':
        return teacher ? 'The class has ended.' : 'You can join again at any time.'
      case 'unreachable':
        return 'The node does not answer. Check your network; we keep trying.'
      case 'media':
        return 'The node answers, but the media connection was lost or cannot be made. We keep trying.'
      case 'starved':
        return 'The class is live, but nothing arrives here. Trying another node.'
      case 'browser':
        return 'This browser cannot show live classes. Please use a current Chrome, Firefox, Edge or Safari.'
      case 'refused':
        return strings.refusal(trouble.status, trouble.detail, teacher)
    }
  },

  refusal(status: number, detail: string, teacher: boolean): string {
    const add = detail ? ` (${detail.replace(/[.\s]+$/, '')})` : ''
    switch (status) {
      case 401:
        return `The token was not accepted; it may have expired. Ask for a new link.${add}`
      case 403:
        return `This token does not allow you to ${teacher ? 'teach' : 'watch'} here.${add}`
      case 404:
      case 410:
        return `There is no open room with this name.${add}`
      case 409:
        return teacher
          ? 'Another teacher is publishing in this room, or you are in another tab. Once that class has ended, go live.'
          : `The class cannot be joined at this moment. We keep trying.${add}`
      case 429:
      case 503:
        return `The node is full or about to rest. Trying another one.${add}`
      default:
        return detail || `The node refused with status ${status}.`
    }
  },
}
