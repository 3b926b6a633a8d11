Nine members of the Lower Pell Silver Band were freed from the town hall lift on Saturday evening after two hours and forty minutes, and were then asked to go back in.

The players had been on their way up to a wedding reception on the third floor when the lift stopped between the first and second. With no telephone signal, bandmaster Idris Cole, 58, suggested that they might as well begin.

Guests at first thought that the sound came from the heating. The bride, Hannah Lyle, had the tables moved away from the shaft so that there would be room to dance round it.

"It was lovely," she said. "It came up through the floor. You felt it in your cake."

Fire crews reached the band during a waltz and waited until it had finished. When the players came upstairs and set up in the usual way, several guests complained that it was too loud and not mysterious enough.

By general request they returned to the lift for the last half hour. Mr Cole said they had since received two more bookings for it.

@highlight

Nine silver band players were stuck in the town hall lift on Saturday

@highlight

They played on, and wedding guests danced round the lift shaft

@highlight

After their rescue they were asked to go back into the lift

@highlight

The band has since received two more bookings for the lift
