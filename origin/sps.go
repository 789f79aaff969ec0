package origin

// bits reads the bits of a NAL unit's payload, without its emulation prevention bytes. After the end it reads zeros
// and is spent.
type bits struct {
	data  []byte
	at    int // in bits
	zeros int // zero bytes in a row before the present byte
	spent bool
}

func (b *bits) bit() uint32 {
	if b.at%8 == 0 {
		i := b.at / 8
		if b.zeros >= 2 && i < len(b.data) && b.data[i] == 3 {
			b.at += 8
			b.zeros = 0
			i++
		}
		if i < len(b.data) && b.data[i] == 0 {
			b.zeros++
		} else {
			b.zeros = 0
		}
	}
	i := b.at / 8
	if i >= len(b.data) {
		b.spent = true
		return 0
	}
	v := b.data[i] >> (7 - b.at%8) & 1
	b.at++
	return uint32(v)
}

func (b *bits) bits(n int) uint32 {
	var v uint32
	for range n {
		v = v<<1 | b.bit()
	}
	return v
}

// golomb reads an unsigned Exp-Golomb number (H.264, section 9.1).
func (b *bits) golomb() uint32 {
	zeros := 0
	for b.bit() == 0 {
		if zeros++; zeros > 31 || b.spent {
			b.spent = true
			return 0
		}
	}
	return 1<<zeros - 1 + b.bits(zeros)
}

func (b *bits) signed() int32 {
	v := b.golomb()
	if v&1 != 0 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}

// parseSPS reads the size of the picture from a sequence parameter set (H.264, section 7.3.2.1.1).
func parseSPS(nal []byte) (width, height uint16, ok bool) {
	if len(nal) < 4 {
		return 0, 0, false
	}
	profile := nal[1]
	b := &bits{data: nal[4:]}
	b.golomb() // seq_parameter_set_id
	chroma := uint32(1)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma = skipHigh(b)
	}
	b.golomb() // log2_max_frame_num_minus4
	switch b.golomb() {
	case 0:
		b.golomb() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		b.bit()
		b.signed()
		b.signed()
		for range min(b.golomb(), 255) {
			b.signed()
		}
	}
	b.golomb() // max_num_ref_frames
	b.bit()    // gaps_in_frame_num_value_allowed_flag
	w := (uint64(b.golomb()) + 1) * 16
	h := (uint64(b.golomb()) + 1) * 16
	frames := b.bit() // frame_mbs_only_flag
	if frames == 0 {
		h *= 2
		b.bit() // mb_adaptive_frame_field_flag
	}
	b.bit() // direct_8x8_inference_flag
	if b.bit() == 1 {
		unitX, unitY := uint64(1), uint64(2-frames)
		if chroma == 1 || chroma == 2 {
			unitX = 2
		}
		if chroma == 1 {
			unitY *= 2
		}
		left, right := uint64(b.golomb()), uint64(b.golomb())
		top, bottom := uint64(b.golomb()), uint64(b.golomb())
		w -= min(w, (left+right)*unitX)
		h -= min(h, (top+bottom)*unitY)
	}
	if b.spent || w == 0 || h == 0 || w > 16384 || h > 16384 {
		return 0, 0, false
	}
	return uint16(w), uint16(h), true
}

// skipHigh reads what only the high profiles have, and returns the chroma format.
func skipHigh(b *bits) uint32 {
	chroma := b.golomb()
	lists := 8
	if chroma == 3 {
		b.bit() // separate_colour_plane_flag
		lists = 12
	}
	b.golomb() // bit_depth_luma_minus8
	b.golomb() // bit_depth_chroma_minus8
	b.bit()    // qpprime_y_zero_transform_bypass_flag
	if b.bit() == 0 {
		return chroma
	}
	for i := range lists {
		if b.bit() == 0 {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + b.signed()) & 0xff
			}
			if next != 0 {
				last = next
			}
		}
	}
	return chroma
}
