#!/bin/sh
# Makes the clip that the synthetic teacher plays: twelve seconds that loop without a seam, in three sizes with the same
# pictures of reference, and their sound. Needs ffmpeg (libvpx, libopus, drawtext), espeak-ng and the DejaVu fonts.
#
#   lecture-f.ivf 1280x720, lecture-h.ivf 640x360, lecture-q.ivf 320x180: VP8, 30 frames a second, a keyframe every two
#   seconds and nowhere else, no alternate reference frames (a frame shows when it is sent)
#   lecture.ogg: Opus, 48 kHz, stereo, 20 ms a packet
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sans=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
bold=/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf
run="ffmpeg -hide_banner -loglevel error -y"

# The board: drawn once. The curve is y = 440 - 90 sin(2 pi (x-80)/360) for x from 80 to 800, with a faint grid.
$run -f lavfi -i "color=c=0x1d3a33:s=1280x720:r=1:d=1,format=gbrp" -vf "
geq=r='if(between(X,80,800)*lt(abs(Y-440+90*sin(2*PI*(X-80)/360)),3.2),255,if(between(X,80,800)*between(Y,320,560)*(eq(mod(X-80,60),0)+eq(mod(Y-320,60),0)),52,r(X,Y)))'
:g='if(between(X,80,800)*lt(abs(Y-440+90*sin(2*PI*(X-80)/360)),3.2),214,if(between(X,80,800)*between(Y,320,560)*(eq(mod(X-80,60),0)+eq(mod(Y-320,60),0)),86,g(X,Y)))'
:b='if(between(X,80,800)*lt(abs(Y-440+90*sin(2*PI*(X-80)/360)),3.2),102,if(between(X,80,800)*between(Y,320,560)*(eq(mod(X-80,60),0)+eq(mod(Y-320,60),0)),76,b(X,Y)))',
drawbox=x=0:y=0:w=1280:h=720:color=0x8a5a2b:t=14,
drawbox=x=80:y=439:w=720:h=2:color=0xbfd8cf:t=fill,
drawtext=fontfile=$bold:text='Lecture 7  Waves that travel':x=80:y=62:fontsize=50:fontcolor=0xf4f1e4,
drawtext=fontfile=$sans:text='u(x, t) = A sin(kx − ωt)':x=80:y=158:fontsize=42:fontcolor=0xffd666,
drawtext=fontfile=$sans:text='speed  c = ω / k = f λ':x=80:y=226:fontsize=34:fontcolor=0xd9ece4,
drawtext=fontfile=$sans:text='x':x=812:y=424:fontsize=26:fontcolor=0xbfd8cf,
drawtext=fontfile=$sans:text='u':x=62:y=296:fontsize=26:fontcolor=0xbfd8cf,
drawtext=fontfile=$sans:text='One period moves one wavelength. Follow the pointer.':x=80:y=598:fontsize=26:fontcolor=0xd9ece4,
drawtext=fontfile=$sans:text='Lyceum test class':x=80:y=646:fontsize=22:fontcolor=0x9fc2b5" \
  -frames:v 1 "$work/board.png"

# What moves: a pointer that rides the curve and comes back, the ripples of two sources, the running clock and its bar.
$run -loop 1 -framerate 30 -t 12 -i "$work/board.png" \
  -f lavfi -i "color=c=black:s=360x202:r=30:d=12,format=gbrp,geq=
r='40+18*(sin(hypot(X-110,Y-60)/7-2*PI*T)+sin(hypot(X-250,Y-150)/7-2*PI*T))'
:g='120+52*(sin(hypot(X-110,Y-60)/7-2*PI*T)+sin(hypot(X-250,Y-150)/7-2*PI*T))'
:b='140+54*(sin(hypot(X-110,Y-60)/7-2*PI*T)+sin(hypot(X-250,Y-150)/7-2*PI*T))'" \
  -f lavfi -i "color=c=0xff6b57:s=26x26:r=30:d=12,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*lt(hypot(X-12.5,Y-12.5),12)'" \
  -f lavfi -i "color=c=0xffd666:s=364x10:r=30:d=12" \
  -f lavfi -i "color=c=0x0f211c:s=364x150:r=30:d=12" -filter_complex "
[0]fps=30[board];[board][1]overlay=x=848:y=158,
drawbox=x=846:y=156:w=364:h=206:color=0xf4f1e4:t=2[a];
[a][2]overlay=x='80+360*(1-cos(2*PI*t/6))-13':y='440-90*sin(2*PI*(360*(1-cos(2*PI*t/6)))/360)-13'[b];
[4][3]overlay=x='-364+364*t/12':y=140:eval=frame,
drawtext=fontfile=$mono:timecode='00\:00\:00\:00':rate=30:x=16:y=30:fontsize=50:fontcolor=0xffffff,
drawtext=fontfile=$sans:text='hours   min   sec   frame':x=22:y=96:fontsize=22:fontcolor=0x9fc2b5[clock];
[b][clock]overlay=x=846:y=408,format=yuv420p[v]" -map "[v]" -t 12 -c:v ffv1 "$work/lecture.mkv"

encode() { # name, size, bit rate, buffer
  $run -i "$work/lecture.mkv" -an -vf "scale=$2:flags=area" -c:v libvpx -b:v "$3" -minrate 0 -maxrate "$4" -bufsize "$4" \
    -g 60 -keyint_min 60 -auto-alt-ref 0 -lag-in-frames 0 -error-resilient 1 -deadline good -cpu-used 2 \
    -max-intra-rate 900 -qmin 4 -qmax 56 -threads 2 "lecture-$1.ivf"
}
encode f 1280:720 1300k 2000k
encode h 640:360 450k 700k
encode q 320:180 130k 200k

# The sound: a spoken sentence every six seconds and a beep on each second of the clock, the first one higher.
espeak-ng -v en -s 150 -w "$work/one.wav" "This is the Lyceum test class. One teacher, many students, one clock."
espeak-ng -v en -s 150 -w "$work/two.wav" "Follow the pointer along the wave, and listen for the beep."
$run -i "$work/one.wav" -i "$work/two.wav" \
  -f lavfi -i "aevalsrc='0.22*sin(2*PI*if(lt(t,1),1320,880)*t)*lt(mod(t,1),0.07)*min(1,mod(t,1)*400)*min(1,(0.07-mod(t,1))*400)':s=48000:d=12" \
  -filter_complex "[0]aresample=48000,adelay=250[a];[1]aresample=48000,adelay=6250[b];
[a][b][2]amix=inputs=3:duration=longest:normalize=0,volume=0.9,apad=whole_dur=12,atrim=0:12,aformat=channel_layouts=stereo[s]" \
  -map "[s]" -c:a libopus -b:a 48k -vbr on -application audio -frame_duration 20 -map_metadata -1 lecture.ogg
