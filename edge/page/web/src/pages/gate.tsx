// Asking for the token when the link carried none.

import { useEffect, useState } from 'preact/hooks'
import { expose } from '../hook'
import { cleanToken, keyOf } from '../route'
import { strings } from '../strings'
import { Header } from '../ui/parts'

const words = strings.gate

/** Gate stands before a room's page until there is a token. */
export function Gate({ route, onToken }: { route: { page: 'watch' | 'teach'; room: string }; onToken: (token: string) => void }) {
  const [text, setText] = useState('')
  useEffect(() => expose(() => ({ page: 'gate', room: route.room })), [route])

  const submit = (event: Event) => {
    event.preventDefault()
    const token = cleanToken(text)
    if (!token) return
    try {
      sessionStorage.setItem(keyOf(route), token)
    } catch {
      // Then it lives as long as this page.
    }
    onToken(token)
  }

  return (
    <div class="page">
      <Header />
      <main class="narrow">
        <form class="card form" onSubmit={submit}>
          <h1>{route.page === 'watch' ? words.watchTitle(route.room) : words.teachTitle(route.room)}</h1>
          <p>{words.lead}</p>
          <label class="field">
            <span>{words.token}</span>
            <input
              id="token"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              required
            />
          </label>
          <button class="button button-main" type="submit">
            {words.go}
          </button>
        </form>
      </main>
    </div>
  )
}
