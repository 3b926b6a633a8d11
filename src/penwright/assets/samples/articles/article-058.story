A family in Beacon Hill who went up to lag the loft have found another loft on top of it.

Structural draughtsman Adrian Boon, 40, saw the hatch while he was lying on his back between the joists. He had been under the impression that above him there was only roof. It opened on a space of the same size, boarded, with a skylight and a chair.

His wife, Celia, measured the house from the lawn with a pole. It came to twenty-seven feet, exactly as in the deeds. Inside, she got thirty-four.

On the chair was a folded newspaper with next Thursday's date. It contained nothing of importance, though the Boons now know who is going to win the flower show, and have found it awkward to talk to her.

They have put in a carpet. Their son, Leo, ten, does his homework up there, since it seems to take no time. When he has finished he comes down to find that it is still ten past four.

At the back, behind the water tank, Mr Boon has noticed a further hatch. He has not tried it. He said that they had only wanted to save a little on heating, and that they had enough to be going on with.

@highlight

The Boon family found a second loft above their own in Beacon Hill

@highlight

It held a chair and a newspaper dated the following Thursday

@highlight

Mr Boon has seen yet another hatch but has not opened it
