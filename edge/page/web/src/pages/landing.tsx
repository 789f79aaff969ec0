// The front door of a node.

import { useEffect, useState } from 'preact/hooks'
import { expose } from '../hook'
import { cleanToken, keyOf, pathOf, roomIn } from '../route'
import { strings } from '../strings'
import { Header, Note } from '../ui/parts'

const words = strings.landing

const commands: [command: string, does: string][] = [
  ['lyceum room open ROOM', words.openRoom],
  ['lyceum token --cluster … --keys … --room …', words.makeToken],
  ['lyceum nodes', words.listNodes],
]

/** Landing says what this is and leads into a room. */
export function Landing() {
  const [room, setRoom] = useState('')
  const [token, setToken] = useState('')
  const [page, setPage] = useState<'watch' | 'teach'>('watch')
  const [problem, setProblem] = useState('')
  useEffect(() => expose(() => ({ page: 'landing' })), [])

  const submit = (event: Event) => {
    event.preventDefault()
    const name = roomIn(room)
    // A whole link pasted as the room may carry the token with it.
    const right = cleanToken(token) || (room.includes('#token=') ? cleanToken(room) : '')
    if (!name) return setProblem(words.roomMissing)
    if (!right) return setProblem(words.tokenMissing)
    const role = /\/teach\//.test(room) ? 'teach' : page
    try {
      sessionStorage.setItem(keyOf({ page: role, room: name }), right)
      location.assign(pathOf(role, name))
    } catch {
      location.assign(`${pathOf(role, name)}#token=${encodeURIComponent(right)}`)
    }
  }

  return (
    <div class="page">
      <Header />
      <main class="landing">
        <section class="hero">
          <h1>{words.title}</h1>
          <p>{words.lead}</p>
        </section>
        <form class="card form" onSubmit={submit} noValidate>
          <h2>{words.enter}</h2>
          {problem && <Note>{problem}</Note>}
          <label class="field">
            <span>{words.room}</span>
            <input id="room" value={room} onInput={(event) => setRoom(event.currentTarget.value)} autocomplete="off" autocapitalize="off" spellcheck={false} aria-describedby="room-hint" />
            <small id="room-hint">{words.roomHint}</small>
          </label>
          <label class="field">
            <span>{words.token}</span>
            <input id="token" value={token} onInput={(event) => setToken(event.currentTarget.value)} autocomplete="off" autocapitalize="off" spellcheck={false} aria-describedby="token-hint" />
            <small id="token-hint">{words.tokenHint}</small>
          </label>
          <fieldset class="choice">
            <legend>{words.role}</legend>
            {(['watch', 'teach'] as const).map((role) => (
              <label key={role}>
                <input type="radio" name="role" value={role} checked={page === role} onChange={() => setPage(role)} />
                <span>{words[role]}</span>
              </label>
            ))}
          </fieldset>
          <button class="button button-main" type="submit" id="enter">
            {words.go}
          </button>
        </form>
        <section class="card operator">
          <h2>{words.operator}</h2>
          <p>{words.operatorText}</p>
          <dl class="commands">
            {commands.map(([command, does]) => (
              <div key={command}>
                <dt>
                  <code>{command}</code>
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      </main>
    </div>
  )
}
