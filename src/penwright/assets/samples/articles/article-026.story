Shipping has been warned to take care off Pell Head as the foghorn has lost its voice.

Engineers were told of a change on Sunday night, when the usual blast came out as a sort of cough. By Monday it had gone down to a whisper that could be heard only by a man fishing directly beneath.

Harbourmaster Bill Stannard, 63, said the horn had been sounding for nine nights in a row and was bound to feel it. An inspection with a mirror showed that the throat was red, although this may have been rust.

The lifeboat's cook, Marjorie Teale, prescribed honey. Eleven pounds of it were poured in with a gallon of lemon juice and a bottle of something she refused to name. A blanket was put round the mouth.

In the meantime the warning is being given by baritone Hugh Penrose, of the choral society, who sits on the rocks in oilskins. Skippers have been complimentary, but two have come in too close in order to listen.

The patient managed a low note on Thursday. It has been told not to talk until the end of the month, and visitors are asked to do the same.

@highlight

The foghorn at Pell Head lost its voice after nine nights of fog

@highlight

Eleven pounds of honey were poured in as a remedy

@highlight

A choral society baritone is giving warnings from the rocks instead
