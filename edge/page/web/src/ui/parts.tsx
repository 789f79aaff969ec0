// The parts that the pages are put together from.

import type { ComponentChildren } from 'preact'
import { strings } from '../strings'
import { Mark, WarningIcon } from './icons'

/** Tone colours a status: red is only for "live", as on every camera. */
export type Tone = 'quiet' | 'busy' | 'live' | 'bad'

/** Pill is the state in one word. Screen readers hear it through Announcer, so it does not speak itself. */
export function Pill({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`pill pill-${tone}`} id="status">
      <span class="dot" aria-hidden="true" />
      {children}
    </span>
  )
}

/** Header is the top of every page. */
export function Header({ title, children }: { title?: string; children?: ComponentChildren }) {
  return (
    <header class="header">
      <a class="brand" href="/">
        <Mark />
        <span class={title ? 'brand-name brand-short' : 'brand-name'}>{strings.name}</span>
      </a>
      {title && <h1 class="header-title">{title}</h1>}
      <div class="header-end">{children}</div>
    </header>
  )
}

/** Facts is a list of names and values. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>
}

/** Fact is one of them; `wide` puts the value on its own line. */
export function Fact({ name, wide, id, children }: { name: string; wide?: boolean; id?: string; children: ComponentChildren }) {
  return (
    <div class={wide ? 'fact fact-wide' : 'fact'}>
      <dt>{name}</dt>
      <dd id={id}>{children}</dd>
    </div>
  )
}

/** Note is a problem in words. */
export function Note({ children, id }: { children: ComponentChildren; id?: string }) {
  return (
    <div class="note" role="alert" id={id}>
      <WarningIcon />
      <p>{children}</p>
    </div>
  )
}

/** Announcer says changes of state to those who listen instead of look. */
export function Announcer({ text }: { text: string }) {
  return (
    <p class="spoken" role="status" aria-live="polite">
      {text}
    </p>
  )
}

/** Control is a round button of the bar below the picture. */
export function Control(props: {
  id: string
  label: string
  onClick: () => void
  children: ComponentChildren
  pressed?: boolean
  off?: boolean
  text?: string
  keys?: string
  disabled?: boolean
}) {
  return (
    <button
      type="button"
      id={props.id}
      class={props.off ? 'control control-off' : 'control'}
      aria-label={props.label}
      aria-pressed={props.pressed}
      aria-keyshortcuts={props.keys}
      title={props.label}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      {props.children}
      {props.text && <span class="control-text">{props.text}</span>}
    </button>
  )
}
