// The start of every page: which one is it, and is there a token for it.

import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Gate } from './pages/gate'
import { Landing } from './pages/landing'
import { Watch } from './pages/watch'
import { keyOf, parseRoute, takeToken, type Route } from './route'
import { strings } from './strings'
import { Header, Note } from './ui/parts'
import './style/base.css'
import './style/parts.css'
import './style/room.css'

type TeachPage = typeof import('./pages/teach').Teach

/** sessionStore is this tab's storage, or a stand-in where a frame may not have any. */
function sessionStore(): Storage | null {
  try {
    return window.sessionStorage
  } catch {
    return null
  }
}

function App({ route }: { route: Route }) {
  const [token, setToken] = useState(() => (route.page === 'landing' ? '' : takeToken(route, location, history, sessionStore())))
  const [Teach, setTeach] = useState<{ page: TeachPage } | 'loading' | 'failed'>('loading')

  useEffect(() => {
    // A student's phone does not download the teacher's tools.
    if (route.page !== 'teach') return
    import('./pages/teach').then(
      (module) => setTeach({ page: module.Teach }),
      () => setTeach('failed'),
    )
  }, [route])

  useEffect(() => {
    if (route.page === 'landing') return
    // A new link with another token pasted into the same tab changes only the fragment.
    const changed = () => setToken(takeToken(route, location, history, sessionStore()))
    window.addEventListener('hashchange', changed)
    return () => window.removeEventListener('hashchange', changed)
  }, [route])

  if (route.page === 'landing') return <Landing />

  const forget = () => {
    sessionStore()?.removeItem(keyOf(route))
    setToken('')
  }
  if (!token) return <Gate route={route} onToken={setToken} />
  if (route.page === 'watch') return <Watch key={token} room={route.room} token={token} onForget={forget} />
  if (typeof Teach === 'object') return <Teach.page key={token} room={route.room} token={token} onForget={forget} />
  return (
    <div class="page">
      <Header title={route.room} />
      {Teach === 'failed' && (
        <main class="narrow">
          <Note>
            {strings.incomplete}{' '}
            <button type="button" class="link" onClick={() => location.reload()}>
              {strings.reload}
            </button>
          </Note>
        </main>
      )}
    </div>
  )
}

const root = document.getElementById('app')
if (root) {
  const route = parseRoute(location.pathname)
  document.title = route.page === 'landing' ? strings.name : `${route.room} · ${strings.name}`
  render(<App route={route} />, root)
}
