The speed camera in Fore Street has been taking pictures of drivers at what many of them say is their best.

It was put in by the county in March at the bottom of the hill. Motorists who are over the limit receive a notice and a photograph. Usually these show a number plate and a blur.

Teacher Michelle Ambler, 44, who was doing thirty-six, opened hers with a sinking heart. She has had it enlarged. The light is from the left. She was singing at the time, with her chin up, and it is, she told us, the only picture in which she has ever looked like herself.

A reporter was shown more than thirty. There is a plumber with the sun in his beard, like a prophet. There are two sisters on the way back from a hospital, laughing so hard that their eyes are closed, on the day when they got good news.

Technician Stuart Ng inspected the lens. It was a standard one, but it had been set a little lower than was normal, he said, and seemed to wait.

Fines are up by a third. Asked if this was a danger, the sergeant pointed out that everyone now comes down the hill at exactly thirty-one miles an hour, and smiling.

@highlight

The Fore Street speed camera takes unusually flattering pictures of drivers

@highlight

Michelle Ambler says hers is the only photograph that looks like her

@highlight

Drivers now pass it smiling at exactly thirty-one miles an hour
