package media

import "time"

// ntpEpoch is the number of seconds from the NTP epoch (1900) to the Unix epoch (1970), RFC 5905.
const ntpEpoch = 2_208_988_800

// NTPFromMicros converts microseconds since the Unix epoch to the 64-bit NTP format of RFC 5905.
func NTPFromMicros(us int64) uint64 {
	sec, frac := us/1e6, us%1e6
	if frac < 0 {
		sec, frac = sec-1, frac+1e6
	}
	return uint64(sec+ntpEpoch)<<32 | uint64(frac)<<32/1e6
}

// MicrosFromNTP is the inverse of NTPFromMicros, exact to a microsecond.
func MicrosFromNTP(ntp uint64) int64 {
	sec := int64(ntp>>32) - ntpEpoch
	return sec*1e6 + int64((ntp&0xffffffff)*1e6+1<<31)>>32
}

// MaxBirthAge is how long a clock that says when packets were born is believed. It is told anew every second; publishers'
// clocks drift by up to 100 millionths, which are 6 ms in a minute.
const MaxBirthAge = time.Minute

// Age is how long ago a packet was born, by a clock that ties timestamps to the moments of birth and by the same host's
// present, in microseconds since the Unix epoch. It is not known without such a clock, or with one of long ago.
func (c Clock) Age(timestamp, rate uint32, now int64) (age time.Duration, known bool) {
	if !c.Known() || rate == 0 || time.Duration(now-MicrosFromNTP(c.NTP))*time.Microsecond > MaxBirthAge {
		return 0, false
	}
	return time.Duration(now-c.Micros(timestamp, rate)) * time.Microsecond, true
}

// Later is the clock as another host would say it whose own is ahead by some microseconds.
func (c Clock) Later(micros int64) Clock {
	return Clock{NTP: NTPFromMicros(MicrosFromNTP(c.NTP) + micros), RTP: c.RTP}
}

// At returns the RTP timestamp that belongs to a moment of the publisher's clock, at a codec clock of rate Hz.
func (c Clock) At(micros int64, rate uint32) uint32 {
	d := micros - MicrosFromNTP(c.NTP)
	return c.RTP + uint32(d*int64(rate)/int64(time.Second/time.Microsecond))
}

// Micros returns the moment of the publisher's clock, in microseconds since the Unix epoch, that belongs to an RTP
// timestamp. The nearest of the moments that share the timestamp is meant.
func (c Clock) Micros(timestamp, rate uint32) int64 {
	d := int64(int32(timestamp - c.RTP))
	return MicrosFromNTP(c.NTP) + d*int64(time.Second/time.Microsecond)/int64(rate)
}
